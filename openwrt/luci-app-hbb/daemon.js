// SPDX-License-Identifier: MIT OR Apache-2.0
// What the server says and pages show, for those who translate; no package has this file. Numbers
// are %s. tests/openwrt/app.py holds it to the sources.
_('hbb is not running');
_('hbb is stopping, or too busy to answer; try again.');
_('This hbb is a relay alone; ask the one that has the peers.');
_('This hbb relays nothing; ask the one that does.');
_('No session has that number');
_('There is no such registered peer');
_('The store did not take the change; try again, and see the log if it fails again.');
_('each client would look for it on its own machine; give the address or name that clients reach it at');
_('a name without a dot is known to this machine or its containers alone, unless the name server of your clients knows it');
_('no client connects to such an address');
_('only this machine reaches that; leave the flag out');
_('it is not in the network of --mask');
_('no interface of this machine has it; right only if its ports are forwarded here, as to a container');
_('the quotes around it would be part of what clients must enter; leave them out');
_('a private address, which clients outside reach only if this machine has it');
_('the relay of this machine listens on %s; any other port must be forwarded to it');
_('that is the port of the ID server; give that of the relay, %s unless it was told another');
_('so large a part of the internet is no proxy of yours, and any client in it may say that it is somebody else; name the addresses of the proxies');
_('is for the ID server, a relay alone has no use for it');
