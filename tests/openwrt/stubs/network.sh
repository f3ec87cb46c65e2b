#!/bin/sh
# A stub, not OpenWrt's: one network, lan, unless /tmp/lan-is-down is there.

network_get_subnet() { # VARIABLE NETWORK
	[ "$2" = lan ] && [ ! -e /tmp/lan-is-down ] && eval "$1=192.168.1.1/24"
}

network_get_ipaddr() {
	[ "$2" = lan ] && [ ! -e /tmp/lan-is-down ] && eval "$1=192.168.1.1"
}

network_is_up() { # NETWORK
	[ "$1" = lan ] && [ ! -e /tmp/lan-is-down ]
}
