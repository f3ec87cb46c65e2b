// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require view';
'require tools.hbb as hbb';

const PAGE = 50;
const TITLES = [ _('ID'), _('Address'), _('Online since'), _('Last seen'), _('First seen'), '' ];

return view.extend({
	// How many are shown, and of which ids.
	wanted: PAGE,
	part: '',

	load: function() {
		return Promise.all([ this.loadPeers([]), hbb.ask('bans') ]).catch(function(error) {
			return error;
		});
	},

	// Page after page, until there are as many as wanted.
	loadPeers: function(known, after) {
		const asked = { count: this.wanted - known.length, after: after, part: this.part || null };
		return hbb.ask('peers', asked).then(L.bind(function(reply) {
			const peers = known.concat(reply.peers);
			if (reply.next == null || peers.length >= this.wanted)
				return { peers: peers, more: reply.next != null };
			return this.loadPeers(peers, reply.next);
		}, this));
	},

	refresh: function() {
		return this.load().then(L.bind(this.draw, this));
	},

	act: function(method, args) {
		return hbb.ask(method, args).then(hbb.told).then(L.bind(this.refresh, this));
	},

	peerRow: function(peer) {
		const now = Date.now();
		const ago = function(secs) { return [ secs == null ? '-' : hbb.date(now - 1000 * secs) ]; };
		const id = peer.id;
		return [
			[ E('strong', {}, [ E('bdi', {}, [ id ]) ]) ],
			[ peer.online ? '%s (%s)%s'.format(peer.address, peer.transport,
				peer.also_at ? ' + ' + peer.also_at : '') : _('offline') ],
			ago(peer.online_secs),
			ago(peer.seen_secs),
			[ peer.first_seen == null ? '-' : hbb.date(1000 * peer.first_seen) ],
			[ hbb.button(_('Forget'), 'remove', L.bind(function() {
				const forget = (args) => L.bind(this.act, this, 'forget', args);
				hbb.confirm(_('Forget %s?').format(id), _('For a day nobody but this device may have ' +
					'its ID again. If it was replaced or installed anew, give the ID to the new one: ' +
					'then start RustDesk anew there, within ten minutes.'), _('Forget'),
				forget({ id: hbb.named(id) }), [ _('Give this ID to a new device'),
					forget({ id: hbb.named(id), free: true }) ]);
			}, this)), ' ', hbb.button(_('Ban'), 'negative', L.bind(function() {
				hbb.confirm(_('Ban %s?').format(id), _('It is served no more until the ban is ' +
					'lifted.'), _('Ban'), L.bind(this.act, this, 'ban',
					{ what: hbb.named(id) }));
			}, this)) ]
		];
	},

	banRow: function(what) {
		return [ [ what ], [ hbb.button(_('Lift'), 'positive',
			L.bind(this.act, this, 'unban', { what: what })) ] ];
	},

	// The fields stay as they are, so that nobody is disturbed while typing.
	draw: function(found) {
		if (found instanceof Error) {
			dom.content(this.peers, [ found.message ]);
			dom.content(this.bans, []);
			return;
		}
		dom.content(this.peers, hbb.table('hbb-peers', TITLES,
			found[0].peers.map(L.bind(this.peerRow, this)), _('No such devices')));
		dom.content(this.bans, hbb.table('hbb-bans', [ _('Banned'), '' ],
			found[1].bans.map(L.bind(this.banRow, this)), _('Nothing is banned')));
		this.more.style.display = found[0].more ? '' : 'none';
	},

	render: function(found) {
		const part = E('input', { 'class': 'cbi-input-text', 'id': 'hbb-part',
			'placeholder': _('Part of an ID') });
		part.addEventListener('change', L.bind(function() {
			this.part = part.value.trim();
			this.wanted = PAGE;
			return this.refresh();
		}, this));
		const what = E('input', { 'class': 'cbi-input-text', 'id': 'hbb-ban',
			'placeholder': _('ID, address or network') });
		this.peers = E('div');
		this.bans = E('div');
		this.more = E('button', { 'class': 'btn cbi-button', 'id': 'hbb-more' }, [ _('Show more') ]);
		this.more.addEventListener('click', L.bind(function() {
			this.wanted += PAGE;
			return this.refresh();
		}, this));
		this.draw(found);
		poll.add(L.bind(this.refresh, this));
		return E('div', {}, [
			E('h2', {}, [ _('Devices') ]),
			E('div', { 'class': 'cbi-section' }, [ E('p', {}, [ part ]), this.peers, this.more ]),
			hbb.section(_('Bans'), [ this.bans, E('div', { 'id': 'hbb-new-ban' }, [ what, ' ',
				hbb.button(_('Ban'), 'negative', L.bind(function() {
					return this.act('ban', { what: what.value.trim() }).then(function() {
						what.value = '';
					});
				}, this)) ]) ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
