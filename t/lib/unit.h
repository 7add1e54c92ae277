/* t/lib/unit.h: cmocka with the headers that it wants before itself. */
#ifndef T_LIB_UNIT_H
#define T_LIB_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
/* clang-format on */

#endif
