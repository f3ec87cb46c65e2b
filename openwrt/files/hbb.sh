#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Sourced by the init script and hbb-firewall: what they share, and the directory of data, which is
# where the key, the peers and the lists are.

# shellcheck disable=SC2034,SC2154,SC3043 # variables of the init script; ash has local

say() { # LEVEL TEXT
	logger -t hbb -p "daemon.$1" "$2"
	[ "$1" = info ] || echo "hbb: $2" >&2
	[ "$1" != err ] || [ -z "$REFUSED" ] || echo "$2" | grep -v 'see above$' >>"$REFUSED"
}

# Those of a list, or the one of 'option': 'uci set' makes that where 'uci add_list' was meant.
each_item() { # SECTION OPTION FUNCTION
	local length value
	config_get length "$1" "$2_LENGTH"
	if [ -n "$length" ]; then
		config_list_foreach "$1" "$2" "$3"
	else
		config_get value "$1" "$2"
		[ -z "$value" ] || "$3" "$value"
	fi
}

DATA_DEFAULT=/etc/hbb
# Names the directory they were in last, if that is another, and then whether the key was. Root's
# own: what is in the directory itself the user hbb may change.
DATA_PLACE=/etc/hbb.data
HAD_KEY='with the key'

last_data() {
	local dir=
	[ ! -e "$DATA_PLACE" ] || read -r dir <"$DATA_PLACE"
	echo "${dir:-$DATA_DEFAULT}"
}

remember_data() { # DIR
	local text="$1"
	! has_key "$1" || text="$(printf '%s\n%s' "$1" "$HAD_KEY")"
	if [ "$1" = "$DATA_DEFAULT" ]; then
		rm -f "$DATA_PLACE"
	elif [ "$(cat "$DATA_PLACE" 2>/dev/null)" != "$text" ]; then
		echo "$text" >"$DATA_PLACE.new" && [ "$(cat "$DATA_PLACE.new")" = "$text" ] &&
			mv "$DATA_PLACE.new" "$DATA_PLACE" && return
		rm -f "$DATA_PLACE.new"
		say warn "data: there is no room to note in $DATA_PLACE that it is $1 now"
	fi
}

# Which is missing if it is set in the configuration.
has_key() { # DIR
	[ -e "$1/id_ed25519" ]
}

has_data() { # DIR
	has_key "$1" || [ -e "$1/hbb.store" ]
}

# What a power cut left of a move has no key, which comes last; who copied the key alone wants the
# devices too.
is_whole() { # DIR LAST
	if has_key "$1"; then
		[ -e "$1/hbb.store" ] || [ ! -e "$2/hbb.store" ] ||
			! cmp -s "$2/id_ed25519" "$1/id_ed25519"
	else
		has_data "$1" && ! has_key "$2"
	fi
}

# Sets moved_from if what is in the directory of the last start must come along first: another key
# than that which all clients have is never made in silence.
find_data() { # DIR
	local last
	moved_from=
	last="$(last_data)"
	if [ "$last" = "$1" ]; then
		has_data "$1" || ! grep -qxF "$HAD_KEY" "$DATA_PLACE" 2>/dev/null || key_is_elsewhere && return
		say err "data $1 had a key and has none; bring it back, or for a new key: rm $DATA_PLACE"
		return 1
	fi
	if is_whole "$1" "$last"; then
		! has_key "$last" || cmp -s "$last/id_ed25519" "$1/id_ed25519" ||
			say warn "data: $1 has another key than $last had; clients need it, or: set data back"
	elif has_data "$last"; then
		moved_from="$last"
	elif [ -e "$DATA_PLACE" ] && [ ! -d "$last" ]; then
		say err "data $1 has no key, and $last, which had it, is not there; bring it back, or \
for a new key: rm $DATA_PLACE"
		return 1
	fi
}

# Nothing may have the store open. What is a link was not put there by us. Each is whole or not
# there, and the key is the last, so that after a power cut it begins anew.
move_data() { # FROM TO
	local file name copied=''
	for file in "$1"/*.txt "$1"/rules.conf "$1"/connections.log* "$1"/id_ed25519.* "$1"/hbb.store \
		"$1"/id_ed25519; do
		name="${file##*/}"
		case "$name" in *.new) continue ;; esac
		if [ -L "$file" ] || [ ! -f "$file" ]; then continue; fi
		[ "$name" != id_ed25519 ] || sync
		cp -p "$file" "$2/$name.new" 2>/dev/null && cmp -s "$file" "$2/$name.new" &&
			mv "$2/$name.new" "$2/$name" && copied="$copied $name" && continue
		for name in $copied "$name.new"; do rm -f "$2/$name"; done
		say err "data: there is no room in $2 for what is in $1, or it cannot be written to"
		return 1
	done
	sync
	remember_data "$2"
	[ "$(last_data)" != "$2" ] || for name in $copied; do rm -f "$1/$name"; done
	say info "data: moved from $1 to $2:$copied"
}

# What cannot be moved is served where it is.
bring_data() {
	local waited=0
	if [ -n "$moved_from" ]; then
		# Not procd_kill, which would lose the message to procd that start has begun.
		ubus call service delete '{"name":"hbb","instance":"hbb"}' 2>/dev/null
		while is_running && [ "$waited" -lt "$STOP_SECS" ]; do
			sleep 1
			waited=$((waited + 1))
		done
		if move_data "$moved_from" "$data"; then
			chown -Rh "$ACCOUNT:$ACCOUNT" "$data"
		else
			data="$moved_from"
			make_data "$data" && make_flags || return 1
			say err "data: served from $data, as before"
		fi
	fi
	remember_data "$data"
}

# Nothing else may be in it, as what is in it becomes hbb's: data set to /etc by mistake would
# hand over the router.
data_is_ours() { # DIR
	local entry
	for entry in "$1"/* "$1"/.[!.]*; do
		[ -e "$entry" ] || continue
		case "${entry##*/}" in
		id_ed25519* | hbb.store* | hbb.restore* | .hbb-check) ;;
		banned.txt* | blacklist.txt* | blocklist.txt* | rules.conf* | connections.log*) ;;
		*)
			say err "data $1 holds other things, such as ${entry##*/}; name an empty directory"
			return 1
			;;
		esac
	done
}

# A disk that is not there yet must not be replaced by a folder on flash with a new key.
disk_is_mounted() { # DIR
	local dir="$1"
	case "$dir" in /mnt/*) ;; *) return 0 ;; esac
	while [ "$dir" != /mnt ]; do
		grep -qF " $dir " /proc/mounts && return 0
		dir="${dir%/*}"
	done
	say err "data $1 is on no mounted disk; waiting for it"
	return 1
}

key_is_elsewhere() {
	local key key_file
	config_get key server key
	config_get key_file server key_file
	[ -n "$key$key_file" ]
}

# /var is memory, too. Who names the key elsewhere may have the devices there.
data_is_kept() { # DIR
	case "$(readlink -f "$1")" in /tmp/*) ;; *) return 0 ;; esac
	! key_is_elsewhere || return 0
	say err "data $1 is in memory, so the next boot would make a key that no client has; leave it \
out for $DATA_DEFAULT, or name a mounted disk"
	return 1
}

make_data() { # DIR
	local others
	case "$1" in
	/*/../* | */.. | [!/]* | *[!A-Za-z0-9._/-]*)
		say err "data '$1' must be a whole path, of letters, digits and . _ - /"
		return 1
		;;
	esac
	disk_is_mounted "$1" && mkdir -p "$1" && data_is_kept "$1" && data_is_ours "$1" &&
		write_lists "$1" || return 1
	# Only if it is another's: full flash takes no change, not even to the same. -h, as through a
	# link the user could be given any file of the router.
	if { ! others="$(find "$1" ! -user "$ACCOUNT" -o ! -group "$ACCOUNT")" || [ -n "$others" ]; } &&
		! chown -Rh "$ACCOUNT:$ACCOUNT" "$1"; then
		say err "data $1 cannot be given to the user $ACCOUNT; use a disk with a Unix file system"
		return 1
	fi
	[ -n "$(find "$1" -maxdepth 0 -perm 0700)" ] || chmod 0700 "$1"
}

# The lists of the configuration become the files serve reads; a file written by hand stays, as
# long as there is no list. What stands behind a blank in them is a comment.
MARK=from-uci
write_lists() { # DIR
	local name file text blacklist blocklist
	! section_exists lists ||
		valid lists 'blacklist:list(cidr)' 'blocklist:list(cidr)' || return 1
	for name in blacklist blocklist; do
		file="$1/$name.txt"
		text="$(each_item lists "$name" print_marked)"
		if [ -n "$text" ]; then
			[ "$(cat "$file" 2>/dev/null)" = "$text" ] || write_new "$file" "$text" || return 1
		elif grep -q " $MARK\$" "$file" 2>/dev/null; then
			rm -f "$file"
		fi
	done
}

print_marked() {
	echo "$1 $MARK"
}

# The folder is the user's, who may have put a link there: -C, which is set -o noclobber, makes
# the file or fails. Whole or not at all: what was there stays where there is no room.
write_new() ( # FILE TEXT
	set -C
	rm -f "$1.new" && echo "$2" >"$1.new" && [ "$(cat "$1.new")" = "$2" ] &&
		mv -f "$1.new" "$1" && exit
	rm -f "$1.new"
	say err "there is no room in ${1%/*} for ${1##*/}"
	exit 1
)
