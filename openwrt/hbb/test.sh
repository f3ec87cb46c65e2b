#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Run by the feed's pipeline with the name of the package and its version after installing it.

case "$1" in
hbb | hbb-full)
	hbb --version | grep -F "hbb $2" || exit 1
	# The key pair works on this processor.
	hbb keygen --print | grep -F 'Public Key:' || exit 1
	;;
hbb-compat)
	hbbs --version | grep -F "hbb $2" || exit 1
	hbbr --version | grep -F "hbb $2" || exit 1
	;;
esac
