# t/cli/test_manual.sh: doc/ringcached.1 says what the table of settings says, and is a page that man can show.
manual=$srcdir/doc/ringcached.1
if ! "$RC_BUILDDIR/t/cli/print_manual" | diff -u "$manual" -; then
	echo "doc/ringcached.1 is not what the settings say: make manual"
	exit 1
fi
command -v man >/dev/null || { echo "skipped: no man to show it with"; exit 77; }
said=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$manual" 2>&1 >/dev/null)
if [ -n "$said" ]; then
	echo "$said"
	exit 1
fi
