/*
 * conf/sample.h - etc/howdah.ini: every setting with its help and its default
 */
#ifndef CONF_SAMPLE_H
#define CONF_SAMPLE_H

#include <stdio.h>

void conf_write_sample(FILE *out);

#endif
