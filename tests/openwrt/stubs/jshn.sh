#!/bin/sh
# A stub, not OpenWrt's: the functions of jshn.sh that our plugin calls. What is read is one
# object of texts, numbers and booleans; of a nested value the variable holds a name, as there.

# shellcheck disable=SC2034,SC3043 # read by the plugin; ash has local
json_init() {
	json_text='{' json_comma='' json_kinds=o
}

# Texts that are made at the same time, each under a name; the first has none.
json_set_namespace() { # NAME [VARIABLE for the one there was]
	[ -z "$2" ] || eval "$2=\"\$json_space\""
	eval "json_text_$json_space=\"\$json_text\" json_comma_$json_space=\"\$json_comma\"
		json_kinds_$json_space=\"\$json_kinds\""
	json_space="$1"
	eval "json_text=\"\$json_text_$1\" json_comma=\"\$json_comma_$1\"
		json_kinds=\"\$json_kinds_$1\""
}

json_escaped() { # TEXT
	printf '%s' "$1" | tr '\000-\010\013-\037' ' ' | awk '
		{ gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/\t/, "\\t") }
		{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }'
}

json_value() { # NAME TEXT
	local name=''
	case "$json_kinds" in *o) name="\"$(json_escaped "$1")\":" ;; esac
	json_text="$json_text$json_comma$name$2"
	json_comma=,
}

json_add_string() { json_value "$1" "\"$(json_escaped "$2")\""; }
json_add_int() { json_value "$1" "$2"; }
json_add_boolean() { if [ "$2" = 1 ]; then json_value "$1" true; else json_value "$1" false; fi; }

json_open() { # NAME BRACKET KIND
	json_value "$1" "$2"
	json_comma='' json_kinds="$json_kinds$3"
}

json_close() { # BRACKET
	json_text="$json_text$1"
	json_comma=, json_kinds="${json_kinds%?}"
}

json_add_object() { json_open "$1" '{' o; }
json_add_array() { json_open "$1" '[' a; }
json_close_object() { json_close '}'; }
json_close_array() { json_close ']'; }
json_dump() { echo "$json_text}"; }

# Prints assignments, quoted for the shell.
json_assignments() {
	awk '
		{ text = text (NR > 1 ? "\n" : "") $0 }
		function quoted(value) { gsub(/\047/, "\047\\\047\047", value); return "\047" value "\047" }
		function string(  out, c) {
			for (out = ""; (c = substr(text, ++at, 1)) != "\"" && at <= length(text); out = out c)
				if (c == "\\") {
					c = substr(text, ++at, 1)
					c = c == "n" ? "\n" : c == "t" ? "\t" : c == "u" ? code() : c
				}
			at++
			return out
		}
		# Those of control characters, which is what must be refused.
		function code(  hex) {
			hex = substr(text, at + 1, 4)
			at += 4
			return hex ~ /^00[01]/ ? sprintf("%c", index("0123456789abcdef", substr(hex, 4)) - 1 + \
				(substr(hex, 3, 1) == "1" ? 16 : 0)) : "?"
		}
		function nested(  depth, c) {
			do {
				c = substr(text, at++, 1)
				if (c == "\"") { at--; string() }
				depth += (c ~ /[[{]/) - (c ~ /[]}]/)
			} while (depth > 0 && at <= length(text))
			return "J_T1"
		}
		function value(  c, start) {
			c = substr(text, at, 1)
			if (c == "\"") return string()
			if (c ~ /[[{]/) return nested()
			for (start = at; substr(text, at, 1) ~ /[-+.0-9a-zA-Z]/; at++);
			c = substr(text, start, at - start)
			return c == "true" ? 1 : c == "false" ? 0 : c
		}
		END {
			for (at = 2; at < length(text);)
				if (substr(text, at, 1) == "\"") {
					name = string()
					gsub(/[^A-Za-z0-9_]/, "_", name)
					at += match(substr(text, at), /[^ \t\n:]/) - 1
					print "json_got_" name "=" quoted(value())
				} else at++
		}'
}

json_load() { # TEXT
	eval "$(printf '%s\n' "$1" | json_assignments)"
}

json_get_var() { # VARIABLE NAME
	eval "$1=\"\$json_got_$2\""
}
