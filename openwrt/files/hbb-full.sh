#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Sourced by the init script where hbb-full is installed: the section 'accounts' as flags.

# shellcheck disable=SC2034,SC2153,SC2154,SC3043 # variables of the init script; ash has local

# What names, ports and rules may be the program says.
full_flags() {
	local accounts must_login private api web connection_log max_users password_memory name value
	section_exists accounts || return 0
	valid accounts \
		'accounts:bool:0' \
		'must_login:bool:0' \
		'private:bool:0' \
		'api:string' \
		'web:string' \
		'rules:string' \
		'connection_log:string' \
		'max_users:range(1,4096)' \
		'password_memory:range(4,64)' || return 1
	port_is_ours api "$api" && port_is_ours web "$web" || return 1
	for name in accounts must_login private; do
		config_get_bool value accounts "$name" 0
		[ "$value" != 1 ] || echo "--$name" | tr _ -
	done
	flag api "$api"
	flag web "$web"
	flag max-users "$max_users"
	flag password-memory "$password_memory"
	log_flag && rules_flag
}

# The check is root's, who may have any: with one of root's own hbb would crash, again and again.
port_is_ours() { # OPTION [ADDRESS:]PORT
	case "${2##*:}" in
	[0-9] | [0-9][0-9] | [0-9][0-9][0-9] | 10[01][0-9] | 102[0-3])
		say err "refused: accounts.$1 '$2': hbb is not root; give a port from 1024 on"
		return 1
		;;
	esac
}

# A file is in data, where the jail and the limits of the process let it be written.
log_flag() {
	case "$connection_log" in
	'' | memory | off | log) flag connection-log "$connection_log" ;;
	file | "$data/connections.log") flag connection-log "$data/connections.log" ;;
	*)
		say err "refused: accounts.connection_log '$connection_log': memory, off, log, or file, \
which is connections.log in data"
		return 1
		;;
	esac
}

# A copy: the user hbb may not read what root keeps, and in a jail another file in its place would
# not be seen.
rules_flag() {
	[ -n "$rules" ] || return 0
	case "$rules" in
	[!/]* | *[!A-Za-z0-9._/-]*) ;;
	*) [ -f "$rules" ] && cp "$rules" "$RULES.new" && flag rules "$RULES" && return ;;
	esac
	say err "refused: accounts.rules '$rules': there is no such file; give its whole path"
	return 1
}
