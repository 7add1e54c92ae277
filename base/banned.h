/* base/banned.h: read before every source file: the configuration, and functions whose use is a compile error
 * because something in this project does the same without their dangers.
 *
 *	strcpy strcat sprintf vsprintf gets    snprintf, memcpy, struct slice
 *	strtok atoi atol atoll                 base/number.h
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include "config.h"

/* These declare them, so they come first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok atoi atol atoll

#endif
