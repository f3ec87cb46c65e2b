// SPDX-License-Identifier: MIT OR Apache-2.0
// What the views of hbb share. Text, of the daemon or not, stands in arrays or text nodes: LuCI
// takes a bare string for HTML, that of a title too.
'use strict';
'require baseclass';
'require dom';
'require rpc';
'require ui';

// What settings are called, by the names of their flags.
const NAMES = {
	enabled: _('Enabled'),
	public: _('Public name'),
	zone: _('Open to'),
	require_key: _('Require key'),
	always_use_relay: _('Always relay'),
	relay_port: _('Relay\'s port'),
	relay_servers: _('Other relays'),
	relay_threads: _('Threads'),
	dscp: _('DSCP mark'),
	blocklist: _('Blocked'),
	blacklist: _('Slowed'),
	registrations_per_minute: _('Registrations a minute and address'),
	new_peers_per_day: _('New devices a day and address'),
	max_peers: _('Devices'),
	max_connections: _('Connections'),
	max_sessions: _('Relayed sessions'),
	total_bandwidth: _('All sessions, Mb/s'),
	single_bandwidth: _('One session, Mb/s'),
	downgrade_threshold: _('Slow down sessions that use more than %'),
	downgrade_start_check: _('of their speed for minutes'),
	limit_speed: _('down to, Mb/s'),
	writes_per_day: _('MiB written a day'),
	forget_after: _('Absent ones give way after days'),
	role: _('Role'),
	port: _('Port'),
	single_port: _('Single port'),
	no_api_port: _('API server elsewhere'),
	key: _('Key'),
	key_file: _('Key file'),
	data: _('Data directory'),
	lan: _('Local network'),
	interface: _('Listen on'),
	trusted_proxies: _('Trusted proxies'),
	proxy_header: _('Proxies\' header'),
	proxy_protocol: _('PROXY protocol'),
	quiet_start: _('Quiet start'),
	mdns: _('Announce'),
	log_level: _('Log level')
};

return baseclass.extend({
	names: NAMES,

	// Calls a method of the ubus object, hbb if no other; what it refuses is an Error.
	ask(method, args, object) {
		const names = Object.keys(args || {}).filter((name) => args[name] != null);
		return rpc.declare({
			object: object || 'hbb',
			method: method,
			params: names,
			expect: {},
			reject: true
		}).apply(rpc, names.map((name) => args[name]))
			.then((reply) => {
				if (reply.error)
					throw new Error(reply.error);
				return reply;
			});
	},

	// For what a page can do without: null in place of an Error.
	maybe(method, args) {
		return this.ask(method, args).catch(() => null);
	},

	// A sentence of the daemon or of its start, with settings called as on their page. Commands of
	// a shell are left out; numbers are no part of what is translated.
	said(text) {
		if (/n id,|^what/.test(text))
			return _('Enter an ID, an address, or a network such as 192.0.2.0/24.');
		if (/denied|code 6\b/.test(text))
			return _('Your login may not do that.');
		if (/^(RPC|XHR|HTTP)/.test(text))
			return _('The router did not answer; log in again.');
		const refused = text.match(/(\w+)\.(\w+)=(.*): must/);
		if (refused)
			return _('%s: “%s” is not possible.').format(NAMES[refused[1] + '_' + refused[2]] ||
				NAMES[refused[2]] || refused[2], refused[3]);
		const numbers = [], of = text
			.match(/^(?:refused: )?(?:--|[a-z]+\.)([a-z_-]+)( [^ ]+)?:? (.*)$/) || [];
		const why = (of[3] || text).replace(/; .hbb.*| \(--role\)/, '')
			.replace(/\d+/g, (number) => { numbers.push(number); return '%s'; });
		const words = String.prototype.format.apply(_(why), numbers);
		return of[1] ? (NAMES[of[1].replace(/-/g, '_')] || of[1]) + (of[2] || ':') + ' ' + words
			: words;
	},

	// One at a time: LuCI would pile them up.
	complain(error) {
		document.querySelectorAll('.hbb-told').forEach((old) => old.remove());
		ui.addNotification(null, E('p', {}, [ this.said(error.message) ]), 'error', 'hbb-told');
	},

	// What is refused or doubted of the settings.
	alerts(status) {
		return status.refused.concat(status.doubts || []).map((text) =>
			E('div', { class: 'alert-message warning' }, [ this.said(text) ]));
	},

	// A button that does one thing and tells if it failed.
	button(text, kind, act) {
		return E('button', {
			class: 'btn cbi-button cbi-button-' + kind,
			disabled: L.hasViewPermission() ? null : '',
			click: ui.createHandlerFn(this, () => Promise.resolve().then(act)
				.catch((error) => this.complain(error)))
		}, [ text ]);
	},

	dot(colour) {
		return E('span', { style: 'color:' + colour }, [ '●' ]);
	},

	// Asks first; 'act' gives a promise. There may be another choice, a text and what it does.
	confirm(title, question, text, act, another) {
		const choice = (text, act) => [ ' ', this.button(text, 'negative', () => {
			ui.hideModal();
			return act();
		}) ];
		ui.showModal([ title ], [
			E('p', {}, [ question ]),
			E('div', { class: 'right' }, [
				E('button', { class: 'btn', click: ui.hideModal }, [ _('Cancel') ])
			].concat(another ? choice(another[0], another[1]) : [], choice(text, act)))
		]);
	},

	// Works without HTTPS too, where browsers have no clipboard for pages.
	copy(text, button) {
		const field = E('textarea', { style: 'position:fixed;top:0;opacity:0' }, [ text ]);
		document.body.appendChild(field);
		field.select();
		const done = document.execCommand('copy');
		field.remove();
		const said = button.textContent;
		button.textContent = done ? _('Copied') : _('Copy it by hand');
		window.setTimeout(() => { button.textContent = said; }, 2000);
	},

	// What others chose: it may have no blank, and run from right to left.
	name(text) {
		return E('bdi', { style: 'overflow-wrap:anywhere' }, [ text ]);
	},

	row(titles, cells) {
		return E('tr', { class: 'tr' }, cells.map((cell, at) =>
			E('td', { class: 'td', 'data-title': titles[at] }, cell)));
	},

	// 'rows' are arrays of cells, a cell an array of nodes and texts; or nodes.
	table(id, titles, rows, empty) {
		const head = E('tr', { class: 'tr table-titles' }, titles.map((title) =>
			E('th', { class: 'th' }, [ title ])));
		const body = rows.map((row) => Array.isArray(row) ? this.row(titles, row) : row);
		if (!rows.length)
			body.push(E('tr', { class: 'tr placeholder' },
				[ E('td', { class: 'td', colspan: titles.length }, [ E('em', {}, [ empty ]) ]) ]));
		return E('table', { class: 'table', id: id }, [ head ].concat(body));
	},

	section(title, nodes) {
		return E('div', { class: 'cbi-section' }, [ E('h3', {}, [ title ]) ].concat(nodes));
	},

	// Who is banned, with a field for more; draws itself anew.
	bans() {
		const list = E('div'), what = E('input', { class: 'cbi-input-text', id: 'hbb-ban',
			placeholder: _('ID, address or network') });
		const draw = () => this.ask('bans').then((found) => dom.content(list, this.table('hbb-bans',
			[ _('Banned'), '' ], found.bans.map((name) => [ [ name ], [ this.button(_('Lift'),
				'positive', () => this.ask('unban', { what: name }).then(draw)) ] ]),
			_('Nothing is banned')))).catch((error) => dom.content(list, [ this.said(error.message) ]));
		draw();
		return E('div', {}, [ list, E('div', { id: 'hbb-new-ban' }, [ what, ' ',
			this.button(_('Ban'), 'negative', () => this.ask('ban', { what: what.value.trim() })
				.then(() => { what.value = ''; return draw(); })) ]) ]);
	},

	// In the largest unit that fits.
	span(secs) {
		return secs < 60 ? _('less than a minute') : secs < 3600 ? _('%d min').format(secs / 60)
			: secs < 86400 ? _('%d h').format(secs / 3600) : _('%d d').format(secs / 86400);
	},

	bytes(count) {
		return '%.1mB'.format(count);
	}
});
