/* t/cli/print_manual.c: prints the manual page that belongs to the table of settings. */
#include <stdio.h>

#include "server/options.h"

int
main(void)
{
	options_manual(stdout);
	return 0;
}
