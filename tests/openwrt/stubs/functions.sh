#!/bin/sh
# A stub, not OpenWrt's: the functions of /lib/functions.sh that our scripts call, with the same
# meaning for what the tests put in. A configuration file is read by sourcing it.

# shellcheck disable=SC1090,SC1091,SC2034,SC3043 # ash has local; files of the scratch root
config() { # TYPE NAME
	SECTION="${2:-cfg}"
	eval "CONFIG_${SECTION}_TYPE=\$1"
}

option() { # NAME VALUE
	eval "CONFIG_${SECTION}_$1=\$2"
}

list() { # NAME VALUE
	local length
	config_get length "$SECTION" "$1_LENGTH" 0
	length=$((length + 1))
	eval "CONFIG_${SECTION}_$1_LENGTH=$length CONFIG_${SECTION}_$1_ITEM$length=\$2"
}

config_load() { # PACKAGE
	# What was read before is kept, as on OpenWrt, and of a file with an error nothing is read.
	# shellcheck source=/dev/null
	[ ! -f "/etc/config/$1" ] || ! sh -n "/etc/config/$1" 2>/dev/null || . "/etc/config/$1"
}

config_get() { # VARIABLE SECTION OPTION DEFAULT
	eval "$1=\"\${CONFIG_$2_$3:-\$4}\""
}

config_get_bool() {
	local word
	config_get word "$2" "$3" "$4"
	case "$word" in
	1 | on | true | yes | enabled) eval "$1=1" ;;
	0 | off | false | no | disabled) eval "$1=0" ;;
	*) eval "$1=\$4" ;;
	esac
}

config_list_foreach() { # SECTION OPTION FUNCTION ARGUMENT...
	local section="$1" option="$2" length item at=1
	shift 2
	config_get length "$section" "${option}_LENGTH" 0
	while [ "$at" -le "$length" ]; do
		config_get item "$section" "${option}_ITEM$at"
		"$1" "$item"
		at=$((at + 1))
	done
}

default_postinst() {
	local pkgname="${pkgname:-$(basename "${1%.*}")}" root="$IPKG_INSTROOT" info
	echo "default_postinst $pkgname upgrade=$PKG_UPGRADE" >>/tmp/calls
	info="$root/usr/lib/opkg/info/$pkgname"
	[ -n "$root" ] || uci_defaults
	[ ! -f "$info.postinst-pkg" ] || (. "$info.postinst-pkg") || return
	[ "$pkgname" = hbb ] || return 0
	if [ -n "$root" ]; then
		sh "$root/etc/rc.common" "$root/etc/init.d/hbb" enable
		return
	fi
	[ "$PKG_UPGRADE" = 1 ] || /etc/init.d/hbb enable
	/etc/init.d/hbb start
}

# Each goes unless it fails.
uci_defaults() {
	local file
	for file in /etc/uci-defaults/*; do
		([ -f "$file" ] && cd "${file%/*}" && . "$file") && rm -f "$file"
	done
}

default_prerm() {
	local pkgname="${pkgname:-$(basename "${1%.*}")}" root="$IPKG_INSTROOT" info
	echo "default_prerm $pkgname upgrade=$PKG_UPGRADE" >>/tmp/calls
	info="$root/usr/lib/opkg/info/$pkgname"
	[ ! -f "$info.prerm-pkg" ] || (. "$info.prerm-pkg") || return
	[ -n "$root" ] || [ "$pkgname" != hbb ] || /etc/init.d/hbb stop
}

add_group_and_user() {
	echo "add_group_and_user $pkgname" >>/tmp/calls
}
