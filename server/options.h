/* server/options.h: the command line. */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "server/settings.h"

/* Fills S, which settings_init has made, from the command line and checks it. True where the server should go on.
 * False where it should end with *STATUS: after --help, --version or --license have been printed, or with a message
 * on stderr where something is refused: 1 or EX_USAGE, the one that memcached takes for it. */
bool options_parse(struct settings *s, int argc, char **argv, int *status);

/* What --help prints. */
void options_help(FILE *out);

/* What --license prints. */
void options_license(FILE *out);

/* The manual page, in man(7) macros. */
void options_manual(FILE *out);

#endif
