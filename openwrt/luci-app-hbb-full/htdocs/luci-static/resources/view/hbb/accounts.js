// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require form';
'require uci';
'require view';
'require tools.hbb as hbb';

const LISTEN = 'or(port, ipaddrport(1))';

// What is refused of them is told by these names too.
const NAMES = Object.assign(hbb.names, {
	private: _('Approve new devices'),
	accounts: _('Accounts'),
	must_login: _('Only for users'),
	web: _('Page for administrators'),
	api: _('For older clients'),
	rules: _('Rules'),
	connection_log: _('Log of connections'),
	max_users: _('Users'),
	password_memory: _('MiB to check a password')
});

return view.extend({
	load() {
		return Promise.all([ hbb.ask('status'), uci.load('hbb') ]).then((found) => {
			// A configuration of an older version may lack it.
			if (!uci.get('hbb', 'accounts'))
				uci.add('hbb', 'accounts', 'accounts');
			return found[0];
		});
	},

	option(kind, name, text) {
		return this.section.option(kind, name, NAMES[name], text);
	},

	flag(name, text) {
		this.option(form.Flag, name, text).default = '0';
	},

	value(name, text, type, placeholder) {
		const option = this.option(form.Value, name, text);
		option.datatype = type;
		option.placeholder = placeholder;
	},

	render(status) {
		const map = new form.Map('hbb', _('Accounts'), _('Users are made by “hbb ctl user add NAME”, ' +
			'or on the page for administrators.'));
		this.section = map.section(form.NamedSection, 'accounts', 'accounts');
		this.flag('private', _('Nobody new gets in before you say so, in New devices.'));
		this.flag('accounts', _('Clients can log in, and have address books.'));
		this.flag('must_login', _('Who is not logged in connects to nobody. Needs accounts.'));
		this.value('web', _('A port, for private addresses alone, or ADDRESS:PORT. Needs accounts.'),
			LISTEN, '8114');
		this.value('api', _('Those before 1.4.7 and browsers log in here, without encryption. Needs ' +
			'accounts.'), LISTEN, '21114');
		this.value('rules', _('A file that says who may connect to whom.'), 'file', '/etc/hbb.rules');
		const log = this.option(form.ListValue, 'connection_log');
		[ [ 'memory', _('in memory') ], [ 'off', _('off') ], [ 'log', _('in the system log too') ],
			[ 'file', _('in a file too') ] ].forEach((one) => log.value(one[0], one[1]));
		log.default = 'memory';
		this.value('max_users', null, 'range(1,4096)', '64');
		this.value('password_memory', _('More makes guessing slower.'), 'range(4,64)', '7');
		return map.render().then((node) => E('div', {}, hbb.alerts(status).concat(node)));
	}
});
