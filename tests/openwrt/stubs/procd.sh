#!/bin/sh
# A stub, not OpenWrt's: the functions of procd.sh that our init script calls. Like there, the
# message is text in a place of its own, to which the caller's json_ functions have access between
# procd_open_data and procd_close_data; what is opened twice is in it twice.

# shellcheck disable=SC1091,SC2154,SC3043 # the init script's name; ash has local
. /usr/share/libubox/jshn.sh

in_message() { # FUNCTION ARGUMENT...
	local before
	json_set_namespace procd before
	"$@"
	json_set_namespace "$before"
}

send() { # METHOD
	ubus call service "$1" "$(json_dump)"
}

open_service() { # NAME SCRIPT
	json_init
	json_add_string name "$1"
	json_add_string script "$2"
	json_add_object instances
}

close_service() { # METHOD
	json_close_object
	json_add_array triggers
	service_triggers
	json_close_array
	send "$1"
}

set_param() { # NAME VALUE...
	local name="$1"
	shift
	case "$name" in
	command | file | respawn)
		json_add_array "$name"
		add_strings "$@"
		json_close_array
		;;
	limits)
		json_add_object "$name"
		json_add_string "${1%%=*}" "${1#*=}"
		json_close_object
		;;
	stdout | stderr | no_new_privs) json_add_boolean "$name" "$1" ;;
	user | group | capabilities) json_add_string "$name" "$1" ;;
	*) echo "the stub does not know the parameter $name" >&2 ;;
	esac
}

add_strings() {
	local word
	for word; do json_add_string '' "$word"; done
}

# The mounts come with calls of their own, all before another parameter.
add_jail() { # NAME FLAG...
	jail="$*"
	jail_mounts=
}

add_mounts() { # 0|1 PATH...
	local mode="$1" path
	shift
	for path; do jail_mounts="$jail_mounts $path=$mode"; done
}

close_instance() {
	local word
	if [ -n "$jail" ]; then
		# shellcheck disable=SC2086 # words
		set -- $jail
		json_add_object jail
		json_add_string name "$1"
		shift
		for word; do json_add_boolean "$word" 1; done
		json_add_object mount
		for word in $jail_mounts; do json_add_string "${word%=*}" "${word##*=}"; done
		json_close_object
		json_close_object
	fi
	jail=
	json_close_object
}

# EVENT DELAY KEY VALUE WORD...; without a key, 'raw', always.
add_trigger() {
	local event="$1" delay="$2" key="$3" value="$4"
	shift 4
	json_add_array ''
	json_add_string '' "$event"
	json_add_array ''
	if [ "$key" = raw ]; then
		json_add_array ''
	else
		json_add_string '' if
		json_add_array ''
		add_strings eq "$key" "$value"
		json_close_array
		json_add_array ''
	fi
	add_strings run_script "$@"
	json_close_array
	json_close_array
	json_value '' "$delay"
	json_close_array
}

kill_service() { # SERVICE INSTANCE
	json_init
	json_add_string name "$1"
	[ -z "$2" ] || json_add_string instance "$2"
	send delete
}

send_signal() { # SERVICE INSTANCE SIGNAL
	json_init
	json_add_string name "$1"
	json_add_string instance "$2"
	json_add_string signal "$3"
	send signal
}

procd_open_service() { in_message open_service "$@"; }
procd_close_service() { in_message close_service "$@"; }
procd_open_instance() { in_message json_add_object "$1"; }
procd_close_instance() { in_message close_instance; }
procd_set_param() { in_message set_param "$@"; }
procd_add_jail() { add_jail "$@"; }
procd_add_jail_mount() { add_mounts 0 "$@"; }
procd_add_jail_mount_rw() { add_mounts 1 "$@"; }
procd_kill() { in_message kill_service "$@"; }
procd_send_signal() { in_message send_signal "$@"; }
procd_add_reload_trigger() {
	in_message add_trigger config.change 1000 package "$1" /etc/init.d/hbb reload
}
procd_add_reload_interface_trigger() {
	in_message add_trigger 'interface.*' 1000 interface "$1" /etc/init.d/hbb reload
}
procd_add_restart_mount_trigger() {
	in_message add_trigger mount.add 1000 target "$1" /etc/init.d/hbb restart
}
procd_add_raw_trigger() { # EVENT DELAY WORD...
	local event="$1" delay="$2"
	shift 2
	in_message add_trigger "$event" "$delay" raw '' "$@"
}

procd_open_data() {
	json_set_namespace procd data_before
	json_add_object data
}

procd_close_data() {
	json_close_object
	json_set_namespace "$data_before"
}

procd_add_mdns_service() { # SERVICE PROTOCOL PORT TXT...
	json_add_object "$1_$3"
	json_add_string service "_$1._$2.local"
	json_value port "$3"
	shift 3
	json_add_array txt
	add_strings "$@"
	json_close_array
	json_close_object
}

procd_add_mdns() {
	procd_open_data
	json_add_object mdns
	procd_add_mdns_service "$@"
	json_close_object
	procd_close_data
}

procd_running() { # SERVICE INSTANCE
	ubus call service list "{\"name\":\"$1\"}" | grep -q '"running": true'
}
