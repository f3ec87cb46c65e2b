// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require view';
'require tools.hbb as hbb';

const TITLES = [ _('From'), _('To'), _('For'), _('Carried'), _('Per second'), _('Kind'), '' ];

return view.extend({
	load: function() {
		return hbb.ask('sessions').catch(function(error) { return error; });
	},

	row: function(session) {
		const kind = [ session.tunnel ? _('port forward') : _('desktop or files') ];
		if (session.limited)
			kind.push(', ' + _('slowed'));
		return [
			[ session.from ], [ session.to ],
			[ hbb.duration(session.secs) ],
			[ hbb.bytes(session.bytes) ],
			[ hbb.bytes(session.rate) ],
			kind,
			[ hbb.button(_('End'), 'negative', L.bind(function() {
				hbb.confirm(_('End this session?'), session.from + ' - ' + session.to, _('End'),
					L.bind(this.end, this, session.number));
			}, this)) ]
		];
	},

	end: function(number) {
		return hbb.ask('disconnect', { number: number }).then(hbb.told)
			.then(L.bind(this.refresh, this));
	},

	refresh: function() {
		return this.load().then(L.bind(this.draw, this));
	},

	draw: function(found) {
		if (found instanceof Error)
			return dom.content(this.sessions, [ found.message ]);
		return dom.content(this.sessions, hbb.table('hbb-sessions', TITLES,
			found.sessions.map(L.bind(this.row, this)), _('No session is relayed')));
	},

	render: function(found) {
		this.sessions = E('div');
		this.draw(found);
		poll.add(L.bind(this.refresh, this), 3);
		return E('div', {}, [
			E('h2', {}, [ _('Relayed sessions') ]),
			E('div', { 'class': 'cbi-map-descr' }, [ _('Sessions of devices that found no direct ' +
				'path. What they carry is encrypted from end to end.') ]),
			E('div', { 'class': 'cbi-section' }, [ this.sessions ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
