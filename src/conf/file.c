#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(struct err *err, int error)
{
    return err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "%s", strerror(error));
}

static bool read_all(int fd, struct buf *text, struct err *err)
{
    for (;;) {
        char *to = buf_reserve(text, 65536);
        ssize_t got = read(fd, to, 65536);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(err, errno);
        text->len += (size_t)got;
        if (text->len > CONF_FILE_MAX)
            return fail(err, EFBIG);
    }
    *buf_reserve(text, 1) = '\0';
    return true;
}

bool conf_file_read(const char *path, struct buf *text, mode_t *mode, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno);
    struct stat st;
    if (fstat(fd, &st) == 0 && mode != NULL)
        *mode = st.st_mode;
    bool ok = read_all(fd, text, err);
    close(fd);
    return ok;
}

int conf_file_nul_line(const char *text, size_t len)
{
    const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
    if (nul == NULL)
        return 0;
    int line = 1;
    for (const char *at = text; at < nul; at++)
        line += *at == '\n';
    return line;
}

size_t conf_file_bom(const char *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}
