// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The ubus object hbb-full: what only hbb-full is asked. As in hbb.uc, beside this file, programs are
// run by rpcd's own 'file exec', what a caller gave is checked and stands as one word of
// 'hbb ctl --json', whose answer is the method's. An answer with 'error' is a failure.
'use strict';

const fs = require('fs');
const ubus = require('ubus').connect();

const FLAGS = '/var/etc/hbb/flags';

function told(text) {
	try {
		return json(text);
	}
	catch (e) {
		return null;
	}
}

function ctl(request, words, more) {
	return ubus.defer('file', 'exec', { command: '/usr/bin/hbb', params: [ 'ctl', '--control',
		'/var/run/hbb/hbb.sock', '--json', ...words ] }, (code, ended) => {
		const said = told(ended?.stdout ?? '');
		request.reply(said ? { ...said, ...(more ?? {}) } : { error: 'hbb is not running' });
	});
}

function refused(name) {
	return { error: name + ': not possible' };
}

// Without blanks, and no flag.
function fits(text) {
	return length(text) < 60 && index(text, '-') != 0 &&
		!length(filter(split(text, ''), (one) => ord(one) < 33 || ord(one) == 127));
}

// What runs was started with.
function has(flag) {
	return index('\n' + (fs.readfile(FLAGS) ?? ''), '\n--' + flag + '\n') >= 0;
}

// One is an address with its port, as the list of those who wait has it.
function approve(request) {
	const words = [ request.args.id ?? '', request.args.address ?? '' ];
	if (!fits(words[0]) || words[0] == '')
		return refused('id');
	return fits(words[1]) ? ctl(request, [ 'approve', ...filter(words, (word) => word != '') ])
		: refused('address');
}

function refuse(request) {
	const id = request.args.id ?? '';
	return fits(id) && id != '' ? ctl(request, [ 'ban', 'id=' + id ]) : refused('id');
}

function log(request) {
	const words = [ 'log' ];
	map([ 'since', 'after', 'count' ], (name) => {
		const value = request.args[name];
		if (value != null && value != '')
			push(words, name + '=' + value);
	});
	return length(filter(words, fits)) < length(words) ? refused('since') : ctl(request, words);
}

return { 'hbb-full': {
	pending: { call: (request) => ctl(request, [ 'pending' ],
		{ private: has('private'), accounts: has('accounts') }) },
	approve: { args: { id: '', address: '' }, call: approve },
	refuse: { args: { id: '' }, call: refuse },
	invite: {
		args: { hours: 0 },
		call: (request) => ctl(request, [ 'invite', '' + (request.args.hours ?? 24) ])
	},
	log: { args: { since: '', after: 0, count: 0 }, call: log }
} };
