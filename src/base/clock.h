/*
 * base/clock.h - monotonic time, in microseconds; timeouts and waits use nothing else
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_now_us(void);  /* monotonic; never 0 */
int64_t clock_wall_us(void); /* since 1970, for what people read */

#endif
