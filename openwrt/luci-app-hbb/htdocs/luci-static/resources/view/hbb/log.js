// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require view';
'require tools.hbb as hbb';

return view.extend({
	load: function() {
		return hbb.ask('log').then(function(reply) { return reply.log; });
	},

	draw: function(text) {
		const end = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 1;
		dom.content(this.log, [ text || _('The log has nothing of hbb') ]);
		if (end)
			this.log.scrollTop = this.log.scrollHeight;
	},

	render: function(text) {
		this.log = E('pre', { 'id': 'hbb-log', 'style': 'max-height:70vh;overflow:auto;' +
			'white-space:pre-wrap;overflow-wrap:anywhere' });
		this.draw(text);
		poll.add(L.bind(function() { return this.load().then(L.bind(this.draw, this)); }, this));
		return E('div', {}, [ E('h2', {}, [ _('Log') ]),
			E('div', { 'class': 'cbi-section' }, [ this.log ]) ]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
