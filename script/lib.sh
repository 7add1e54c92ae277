# shellcheck shell=bash
# script/lib.sh: what script/server and script/test share. Read with the tree's root as working directory.

# build_tree DIRECTORY [configure's arguments...]: configures DIRECTORY where that has not happened yet with
# these arguments, and makes everything in it.
build_tree() {
	local directory=$1 root
	shift

	root=$PWD
	mkdir -p "$directory"
	(
		flock 9
		if [ ! -x configure ] || [ configure.ac -nt configure ] || [ ! -e Makefile.in ] ||
			[ Makefile.am -nt Makefile.in ]; then
			autoreconf -fi || exit
		fi
	) 9>build/.lock || return
	(
		flock 9
		cd "$directory" || exit
		if [ ! -e Makefile ] || [ "$(cat .arguments 2>/dev/null)" != "$*" ]; then
			"$root/configure" --quiet "$@" && printf '%s\n' "$*" >.arguments || exit
		fi
		make -s -j"$(getconf _NPROCESSORS_ONLN)" all
	) 9>"$directory/.lock"
}
