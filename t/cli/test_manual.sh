# t/cli/test_manual.sh: the manual pages say what the tables of settings, options and commands say, and man can show them.
said=
for name in ringcached ringctl; do
	program=print_manual
	[ $name = ringctl ] && program=print_ringctl_manual
	manual=$srcdir/doc/$name.1
	if ! "$RC_BUILDDIR/t/cli/$program" | diff -u "$manual" -; then
		echo "doc/$name.1 is not what the tables say: make manual"
		exit 1
	fi
	command -v man >/dev/null || continue
	said=$said$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$manual" 2>&1 >/dev/null)
done
command -v man >/dev/null || { echo "skipped: no man to show them with"; exit 77; }
if [ -n "$said" ]; then
	echo "$said"
	exit 1
fi
