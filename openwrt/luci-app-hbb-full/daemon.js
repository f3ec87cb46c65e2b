// SPDX-License-Identifier: MIT OR Apache-2.0
// What the server says and these pages show, for those who translate; no package has this file.
// tests/openwrt/full_app.py holds it to the sources.
_('Nobody waits for that id');
_('Several devices wait for that id: name the address of yours too, as \'hbb ctl pending\' shows it.');
_('As many devices are registered as may be: see --max-peers.');
_('Every device may register here: codes are for --private.');
_('As many codes as may be are good; they end by themselves.');
