/*
 * admin/descriptors.h - the limit of file descriptors, and whether it is enough
 */
#ifndef ADMIN_DESCRIPTORS_H
#define ADMIN_DESCRIPTORS_H

struct settings;

void descriptors_raise_limit(void); /* as far as we may */
/* Warns if the settings may need more than the limit. */
void descriptors_check(const struct settings *settings);
void descriptors_log(const struct settings *settings);

#endif
