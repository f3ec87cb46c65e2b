// A stub, not OpenWrt's: LuCI's classes as far as our views use them, with the same names,
// arguments and ids of fields. HBB_LUCI names a checkout of LuCI to have the real ones.
'use strict';

let L;

function append(node, children) {
	if (Array.isArray(children))
		children.filter((child) => child != null).forEach(function(child) {
			// An array in an array is text.
			node.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
		});
	else if (children instanceof Node)
		node.appendChild(children);
	else if (children != null)
		node.innerHTML = String(children); // a bare string is HTML
}

function E(tag, attributes, children) {
	const node = document.createElement(tag);
	Object.keys(attributes || {}).forEach(function(name) {
		const value = attributes[name];
		if (typeof value == 'function')
			node.addEventListener(name, value);
		else if (value != null)
			node.setAttribute(name, value);
	});
	append(node, children);
	return node;
}

function extend(base, properties) {
	const made = class extends base {};
	Object.assign(made.prototype, properties);
	return made;
}

const baseclass = { extend: function(properties) { return extend(class {}, properties); } };

const dom = {
	content: function(node, children) {
		node.replaceChildren();
		append(node, children);
	}
};

// In milliseconds: what is drawn anew is not waited for as long as in LuCI.
const SECOND = 250;

const poll = {
	add: function(act, seconds) {
		window.setTimeout(function again() {
			Promise.resolve(act()).catch(console.error).then(function() {
				window.setTimeout(again, SECOND * (seconds || L.env.pollinterval));
			});
		}, SECOND * (seconds || L.env.pollinterval));
	}
};

let calls = 0;
const rpc = {
	declare: function(options) {
		return function() {
			const args = {};
			(options.params || []).forEach((name, at) => { args[name] = arguments[at]; });
			const body = { jsonrpc: '2.0', id: ++calls, method: 'call',
				params: [ L.env.sessionid, options.object, options.method, args ] };
			return fetch(L.env.ubuspath, { method: 'POST', body: JSON.stringify(body) })
				.then(function(response) { return response.json(); })
				.then(function(answer) {
					const [ code, reply ] = answer.result;
					if (options.reject && code !== 0)
						throw new Error('RPC call to %s/%s failed with ubus code %d: Permission denied'
							.format(options.object, options.method, code));
					return reply;
				});
		};
	}
};

const ui = {
	createHandlerFn: function(self, act) {
		return function(event) {
			const button = event.currentTarget;
			button.disabled = true;
			return Promise.resolve(act.call(self, event)).finally(function() {
				button.disabled = false;
			});
		};
	},

	showModal: function(title, children) {
		ui.hideModal();
		document.body.appendChild(E('div', { 'class': 'modal' },
			[ E('h4', {}, title), ...children ]));
	},

	hideModal: function() {
		document.querySelectorAll('.modal').forEach(function(node) { node.remove(); });
	},

	addNotification: function(title, children, ...kinds) {
		document.querySelector('#maincontent').prepend(
			E('div', { 'class': [ 'alert-message', ...kinds ].join(' ') },
				title == null ? [ children ] : [ E('h4', {}, title), children ]));
	},

	changes: {
		apply: function() {
			return fetch(L.env.scriptname + '/admin/uci/apply_rollback', { method: 'POST' })
				.then(function() { window.location.reload(); });
		}
	},

	instantiateView: function(path) {
		return L.require('view.' + path.replace(/\//g, '.'));
	}
};

const view = {
	extend: function(properties) {
		return extend(class {
			constructor() {
				Promise.resolve(this.load()).then(this.render.bind(this)).then(this.show.bind(this))
					.catch(function(error) {
						ui.addNotification(null, E('p', {}, [ error.message ]), 'error');
						console.error(error);
					});
			}

			load() {}

			show(node) {
				dom.content(document.querySelector('#view'), [ node ]);
				if (this.handleSave === null)
					return;
				const button = (kind, text, act) => E('button', {
					'class': 'btn cbi-button cbi-button-' + kind, 'click': act }, [ text ]);
				document.querySelector('#view').appendChild(
					E('div', { 'class': 'cbi-page-actions' }, [
						button('apply', 'Save & Apply', () => this.save().then(ui.changes.apply)),
						button('save', 'Save', () => this.save())
					]));
			}

			save() {
				const maps = Array.from(document.querySelectorAll('.cbi-map'));
				return Promise.all(maps.map(function(map) { return map.save(); }));
			}
		}, properties);
	}
};

const fs = {
	exec: function(command, params) {
		return rpc.declare({ object: 'file', method: 'exec', params: [ 'command', 'params' ],
			reject: true })(command, params);
	}
};

const uci = {
	values: {},
	made: [],
	changed: {},
	removed: {},

	load: function(config) {
		if (uci.values[config])
			return Promise.resolve([ config ]);
		return rpc.declare({ object: 'uci', method: 'get', params: [ 'config' ], reject: true })(config)
			.then(function(reply) { uci.values[config] = reply.values; return [ config ]; });
	},

	get: function(config, section, option) {
		const found = (uci.values[config] || {})[section];
		return found && (option ? found[option] : found);
	},

	add: function(config, type, name) {
		uci.values[config][name] = { '.type': type, '.name': name };
		uci.made.push({ config: config, type: type, name: name });
		return name;
	},

	set: function(config, section, option, value) {
		if (JSON.stringify(uci.get(config, section, option)) == JSON.stringify(value))
			return;
		uci.values[config][section][option] = value;
		(uci.changed[section] = uci.changed[section] || {})[option] = value;
	},

	unset: function(config, section, option) {
		if (uci.get(config, section, option) == null)
			return;
		delete uci.values[config][section][option];
		(uci.removed[section] = uci.removed[section] || []).push(option);
	},

	// As the views do, of one configuration.
	save: function(config = 'hbb') {
		const call = function(method, args) {
			return rpc.declare({ object: 'uci', method: method, params: Object.keys(args),
				reject: true }).apply(rpc, Object.values(args));
		};
		const { made, changed, removed } = uci;
		Object.assign(uci, { made: [], changed: {}, removed: {} });
		return Promise.all(made.map(function(one) { return call('add', one); })).then(function() {
			return Promise.all(Object.keys(changed).map(function(section) {
				return call('set', { config: config, section: section, values: changed[section] });
			}).concat(Object.keys(removed).map(function(section) {
				return call('delete', { config: config, section: section,
					options: removed[section] });
			})));
		});
	}
};

class Option {
	constructor(section, name, title, text) {
		Object.assign(this, { section, name, title, text, keys: [] });
		this.id = 'cbid.%s.%s.%s'.format(section.config, section.name, name);
	}

	value(key, text) {
		this.keys.push([ key, text || key ]);
	}

	get place() {
		return [ this.section.config, this.ucisection || this.section.name,
			this.ucioption || this.name ];
	}

	load() {
		return uci.get(...this.place);
	}

	write(section, value) {
		uci.set(...this.place, value);
	}

	cfgvalue() {
		return this.load(this.section.name);
	}

	renderWidget() {
		return this.field();
	}

	render() {
		const label = E('label', { 'class': 'cbi-value-title', 'for': 'widget.' + this.id },
			[ this.title ]);
		return E('div', { 'class': 'cbi-value' }, [ label,
			E('div', { 'class': 'cbi-value-field', 'id': this.id }, [ this.renderWidget() ]),
			E('div', { 'class': 'cbi-value-description' }, [ this.text || '' ]) ]);
	}

	save() {
		const value = this.formvalue();
		const empty = value == null || value === '' || Array.isArray(value) && !value.length;
		const wrong = !empty && this.validate ? this.validate(this.section.name, value) : true;
		if (wrong !== true)
			throw new Error(wrong);
		if (empty || this.rmempty !== false && !this.keys.length && value === this.default)
			uci.unset(...this.place);
		else
			this.write(this.section.name, value);
	}
}

class Value extends Option {
	field() {
		this.input = E('input', { 'class': 'cbi-input-text', 'id': 'widget.' + this.id,
			'placeholder': this.placeholder, 'type': this.password ? 'password' : 'text' });
		this.input.value = this.cfgvalue() || '';
		return this.input;
	}

	formvalue() {
		return this.input.value;
	}
}

class DummyValue extends Option {
	save() {}
}

class Flag extends Option {
	field() {
		this.input = E('input', { 'type': 'checkbox', 'id': 'widget.' + this.id });
		this.input.checked = (this.cfgvalue() || this.default) == '1';
		return this.input;
	}

	formvalue() {
		return this.input.checked ? '1' : '0';
	}
}

class ListValue extends Option {
	field() {
		this.input = E('select', { 'id': 'widget.' + this.id }, this.keys.map(function(key) {
			return E('option', { 'value': key[0] }, [ key[1] ]);
		}));
		this.input.value = this.cfgvalue() || this.default;
		return this.input;
	}

	formvalue() {
		return this.input.value;
	}
}

// One text with blanks between; LuCI has a field for each.
class DynamicList extends Option {
	field() {
		this.input = E('input', { 'class': 'cbi-input-text' });
		this.input.value = [].concat(this.cfgvalue() || []).join(' ');
		return this.input;
	}

	formvalue() {
		return this.input.value.split(' ').filter(Boolean);
	}
}

class NamedSection {
	constructor(map, name, type, title) {
		Object.assign(this, { config: map.config, name, type, title, options: [], tabs: [] });
	}

	tab(name, title) {
		this.tabs.push({ name, title });
	}

	taboption(tab, kind, name, title, text) {
		const option = new kind(this, name, title, text);
		option.tab = tab;
		this.options.push(option);
		return option;
	}

	option(kind, ...words) {
		return this.taboption(null, kind, ...words);
	}

	// All tabs are in sight.
	render() {
		if (!this.tabs.length)
			return E('div', { 'class': 'cbi-section' }, this.options.map((option) => option.render()));
		return E('div', { 'class': 'cbi-section' }, this.tabs.map((tab) => E('div', { 'data-tab':
			tab.name }, [ E('h3', {}, [ tab.title ]), ...this.options.filter((option) =>
			option.tab == tab.name).map((option) => option.render()) ])));
	}
}

class Map_ {
	constructor(config, title, text) {
		Object.assign(this, { config, title, text, sections: [] });
	}

	section(kind, name, type, title) {
		const section = new kind(this, name, type, title);
		this.sections.push(section);
		return section;
	}

	render() {
		return uci.load(this.config).then(() => {
			const node = E('div', { 'class': 'cbi-map' }, [ E('h2', {}, [ this.title ]),
				E('div', {}, [ this.text ]),
				...this.sections.map(function(section) { return section.render(); }) ]);
			node.save = () => {
				this.sections.forEach(function(section) {
					section.options.forEach(function(option) { option.save(); });
				});
				return uci.save(this.config);
			};
			return node;
		});
	}
}

const form = { Map: Map_, NamedSection, Value, DummyValue, Flag, ListValue, DynamicList };

// LuCI's view of the log of a service, without its filters.
const views = {
	LogreadBox: function(tag, name) {
		return view.extend({
			retrieveLog: function() {
				return rpc.declare({ object: 'log', method: 'read', params: [ 'lines', 'stream',
					'oneshot' ], reject: true })(1000, false, true).then(function(reply) {
					const lines = reply.log.filter(function(one) { return one.msg.includes(tag); })
						.map(function(one) { return one.msg; });
					return { value: lines.join('\n'), rows: lines.length + 1 };
				});
			},

			load: function() {
				poll.add(() => this.retrieveLog().then(function(log) {
					document.getElementById('syslog').value = log.value;
				}));
				return this.retrieveLog();
			},

			render: function(log) {
				return E('div', {}, [ E('h2', {}, [ name ]), E('textarea', { 'id': 'syslog',
					'rows': log.rows }, [ log.value ]) ]);
			},

			handleSave: null
		});
	}
};

const classes = { baseclass, dom, fs, poll, rpc, ui, view, uci, form, 'tools.views': views };

class LuCI {
	constructor(env) {
		this.env = env;
	}

	bind(act, self) {
		return act.bind(self, ...Array.from(arguments).slice(2));
	}

	toArray(value) {
		return value == null ? [] : Array.isArray(value) ? value : String(value).trim().split(/\s+/);
	}

	hasViewPermission() {
		return !this.env.nodespec.readonly;
	}

	// A file gives a class; what it requires is handed to it by name.
	require(name) {
		if (!classes[name])
			classes[name] = fetch(this.env.resource + '/' + name.replace(/\./g, '/') + '.js')
				.then(function(response) { return response.text(); })
				.then((source) => this.made(source));
		return Promise.resolve(classes[name]);
	}

	made(source) {
		const wanted = [ ...source.matchAll(/^'require (\S+?)(?: as (\w+))?';$/gm) ];
		const names = wanted.map(function(found) { return found[2] || found[1]; });
		return Promise.all(wanted.map((found) => this.require(found[1]))).then((instances) => {
			const kind = new Function('L', ...names, source)(this, ...instances);
			return new kind();
		});
	}
}
