// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require view';

return view.extend({
	load() {
		return L.require('tools.views').catch(() => null);
	},

	// LuCI's own view of a log, which filters; here with the newest line first.
	render(views) {
		if (!views)
			return E('p', {}, [ _('This LuCI shows logs in Status, System Log only.') ]);
		const box = Object.create(views.LogreadBox('hbb', _('Log')).prototype), read = box.retrieveLog;
		if (read)
			box.retrieveLog = () => read.call(box).then((log) =>
				Object.assign(log, { value: log.value.split('\n').reverse().join('\n') }));
		return box.load().then((log) => box.render(log));
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
