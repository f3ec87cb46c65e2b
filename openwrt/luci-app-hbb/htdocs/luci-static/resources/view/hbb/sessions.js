// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require view';
'require tools.hbb as hbb';

const TITLES = [ _('From'), _('To'), _('For'), _('Carried'), _('Per second'), _('Kind'), '' ];
const SHOWN = 3;

// The address without its port.
function host(address) {
	return address.replace(/:\d+$/, '');
}

return view.extend({
	// The ids of devices, by their addresses.
	ids: {},

	load() {
		return hbb.ask('sessions').then((found) => {
			const shown = found.sessions.map((one) => one.number).join();
			return shown != this.shown ? this.loadIds(shown).then(() => found) : found;
		}).catch((error) => error);
	},

	// Only when the sessions are others than before.
	loadIds(shown) {
		this.shown = shown;
		return hbb.maybe('peers', { count: 500 }).then((found) => {
			this.ids = {};
			(found ? found.peers : []).filter((peer) => peer.online).forEach((peer) => {
				const at = host(peer.address);
				this.ids[at] = (this.ids[at] || []).concat(peer.id);
			});
		});
	},

	// A relay knows addresses alone; the devices that are there are told.
	who(address) {
		const ids = this.ids[host(address)] || [];
		return [ address ].concat(ids.length ? [ E('br'), E('small', {}, [
			hbb.name(ids.slice(0, SHOWN).join(', ') + (ids.length > SHOWN ? ', …' : '')) ]) ] : []);
	},

	row(session) {
		const kind = [ session.tunnel ? _('port forward') : _('desktop or files') ];
		if (session.limited)
			kind.push(', ' + _('slowed'));
		return [
			this.who(session.from), this.who(session.to),
			[ hbb.span(session.secs) ],
			[ hbb.bytes(session.bytes) ],
			[ hbb.bytes(session.rate) ],
			kind,
			[ hbb.button(_('Disconnect'), 'negative', () => hbb.confirm(_('End this session?'),
				session.from + ' - ' + session.to, _('Disconnect'), () => this.end(session.number))) ]
		];
	},

	end(number) {
		return hbb.ask('disconnect', { number: number }).then(() => this.refresh());
	},

	refresh() {
		return this.load().then((found) => this.draw(found));
	},

	draw(found) {
		dom.content(this.sessions, found instanceof Error ? [ hbb.said(found.message) ]
			: [ hbb.table('hbb-sessions', TITLES, found.sessions.map((one) => this.row(one)),
				_('No session is relayed')) ]);
	},

	render(found) {
		this.sessions = E('div');
		this.draw(found);
		poll.add(() => this.refresh(), 3);
		return E('div', {}, [
			E('h2', {}, [ _('Relayed sessions') ]),
			E('div', { class: 'cbi-map-descr' }, [ _('Sessions of devices that found no direct ' +
				'path. What they carry is encrypted from end to end.') ]),
			E('div', { class: 'cbi-section' }, [ this.sessions ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
