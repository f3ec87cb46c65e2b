// A stub, not OpenWrt's: loads a plugin of rpcd-mod-ucode and calls a method of it.
//
//   node rpcd.js ROOT PLUGIN                  the methods with the types of their arguments
//   node rpcd.js ROOT PLUGIN METHOD <JSON     what the method replies; 'Invalid argument' is rpcd's
//
// ucode is near to JavaScript, so node runs it: with the functions of ucode that ours calls, and
// without all methods and globals of JavaScript's own, which ucode lacks. ROOT is a scratch root, in
// which programs run by 'unshare' and 'chroot'.
'use strict';

const { spawnSync } = require('child_process');
const files = require('fs');
const path = require('path');
const vm = require('vm');

const [ root, plugin, method ] = process.argv.slice(2);
const TYPES = { string: 'str', number: 32, boolean: true };

// Inside: the functions are made of JavaScript's methods before those are taken away.
const PRELUDE = `
	const of = (type, name) => Function.prototype.call.bind(type.prototype[name]);
	const cut = of(String, 'split'), test = of(RegExp, 'exec'), at = of(String, 'charCodeAt');
	const each = of(Array, 'map'), some = of(Array, 'filter'), glue = of(Array, 'join');
	const part = of(Array, 'slice'), add = of(Array, 'push'), replace = of(String, 'replace');
	const inText = of(String, 'indexOf'), inList = of(Array, 'indexOf');
	const parse = JSON.parse, isList = Array.isArray, names = Object.getOwnPropertyNames;
	const describe = Object.getOwnPropertyDescriptor;
	const KINDS = [ Array, String, Number, Boolean, RegExp, Object, Function ];
	globalThis.json = (text) => parse(text);
	globalThis.split = (text, by) => text == null ? null : cut(by === '' ? bytes(text) : text, by);
	globalThis.length = (one) => one == null ? null : isList(one) ? one.length : bytes(one).length;
	globalThis.ord = (text) => at(text, 0);
	globalThis.match = (text, by) => test(by, text);
	globalThis.map = (list, by) => each(list, (one) => by(one));
	globalThis.filter = (list, by) => some(list, (one) => by(one));
	globalThis.join = (by, list) => glue(list, by);
	globalThis.slice = (list, from) => part(list, from);
	globalThis.push = (list, one) => add(list, one);
	globalThis.index = (all, one) => all == null ? null : isList(all) ? inList(all, one)
		: inText(all, one);
	globalThis.rtrim = (text, what) => replace(text, what == '\\n' ? /\\n+$/ : /\\s+$/, '');
	globalThis.type = (one) => one == null ? null : isList(one) ? 'array' : typeof one;
	const kept = /^(index|constructor)$/, gone = /^[A-Z]|^(parse|is|escape|unescape|eval|en|de|console)/;
	for (const name of Object.getOwnPropertyNames(globalThis))
		if (test(gone, name))
			delete globalThis[name];
	for (const kind of KINDS)
		for (const name of names(kind.prototype))
			if (!test(kept, name) && describe(kind.prototype, name).configurable)
				delete kind.prototype[name];
`;

function inside(words, input) {
	return spawnSync('unshare', [ '-rnm', 'chroot', root, ...words ],
		{ input: input || '', encoding: 'utf8', env: { PATH: '/stubs:/usr/sbin:/usr/bin:/sbin:/bin' } });
}

function place(name) {
	return path.join(root, name);
}

const fs = {
	access: (name) => files.existsSync(place(name)),
	readfile: (name) => files.existsSync(place(name)) ? files.readFileSync(place(name), 'utf8') : null,
	glob: (pattern) => {
		const [ before, after ] = path.basename(pattern).split('*');
		const folder = place(path.dirname(pattern));
		return (files.existsSync(folder) ? files.readdirSync(folder) : [])
			.filter((name) => name.startsWith(before) && name.endsWith(after));
	}
};

// Sections of a package by name, as 'uci show' has them.
function sections(name) {
	const found = {};
	for (const line of inside([ '/sbin/uci', '-q', 'show', name ]).stdout.split('\n')) {
		const [ , section, option, list, value ] = line.match(
			/^[^.]+\.([^.=]+?)(?:\.([^=+]+))?(\+?)=(.*)$/) || [];
		const text = (value || '').replace(/^'|'$/g, '');
		if (section && !option)
			found[section] = { '.name': section, '.type': text };
		else if (section && list)
			(found[section][option] = found[section][option] || []).push(text);
		else if (section)
			found[section][option] = text;
	}
	return found;
}

const uci = { cursor: () => ({
	get: (name, section, option) => (sections(name)[section] || {})[option],
	foreach: (name, type, call) => {
		Object.values(sections(name)).filter((one) => one['.type'] == type).forEach(call);
	}
}) };

const deferred = {};
const ubus = { connect: () => ({
	defer: (object, name, given, call) => {
		if (object != 'file' || name != 'exec')
			throw new Error('not known: ' + object + ' ' + name);
		setImmediate(() => {
			const words = [ given.command, ...given.params ];
			if (words.some((word) => typeof word != 'string'))
				throw new Error('words are texts: ' + JSON.stringify(words));
			if (!files.existsSync(place(given.command)))
				return call(4, null);
			const ended = inside(words), reply = { code: ended.status };
			for (const name of [ 'stdout', 'stderr' ])
				if (ended[name])
					reply[name] = ended[name];
			call(0, reply);
		});
		return deferred;
	}
}) };

// As rpcd does: no argument that was not named, none of another type.
function valid(known, args) {
	return Object.keys(args).every((name) => name == 'ubus_rpc_session' ||
		(typeof known[name] == typeof args[name] && known[name] != null &&
		(typeof args[name] != 'number' || Number.isInteger(args[name]))));
}

function reply(answer) {
	process.stdout.write(JSON.stringify(answer));
}

const context = vm.createContext({ bytes: (text) => Buffer.from(String(text)).toString('latin1') });
vm.runInContext('{' + PRELUDE + '}', context);
const source = '(function(require) {' + files.readFileSync(place(plugin), 'utf8') + '\n})';
const [ hbb ] = Object.values(vm.runInContext(source, context, { filename: plugin })((name) =>
	({ fs: fs, uci: uci, ubus: ubus })[name]));

if (!method) {
	reply(Object.fromEntries(Object.entries(hbb).map(([ name, one ]) => [ name,
		Object.fromEntries(Object.entries(one.args || {}).map(([ arg, value ]) =>
			[ arg, TYPES[typeof value] ])) ])));
}
else {
	const args = JSON.parse(files.readFileSync(0, 'utf8'));
	if (!hbb[method] || !valid(hbb[method].args || {}, args)) {
		reply({ error: hbb[method] ? 'Invalid argument' : 'no such method' });
	}
	else {
		const told = hbb[method].call({ args: args, reply: reply });
		if (told !== deferred)
			reply(told);
	}
}
