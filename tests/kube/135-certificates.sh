# A client certificate that runs out, and was replaced in its file before.
. ./lib.sh
server_node_up

# certificate_for SECONDS: openssl x509 knows days only
mkdir -p "$WORK/ca"
: >"$WORK/ca/index.txt"
cat >"$WORK/ca/config" <<X
[ca]
default_ca = test
[test]
database = $WORK/ca/index.txt
unique_subject = no
new_certs_dir = $WORK/ca
certificate = $SERVER_DIR/ca.crt
private_key = $SERVER_DIR/ca.key
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = client
[any]
organizationName = optional
commonName = supplied
[client]
extendedKeyUsage = clientAuth
X
certificate_for() {
	local at=$SERVER_DIR/agent
	openssl req "${ec_key[@]}" -keyout "$at.key.new" -subj /O=system:masters/CN=agent 2>/dev/null |
		openssl ca -batch -config "$WORK/ca/config" -in - -out "$at.crt.new" -notext \
			-startdate "$(date -u -d '-1 hour' +%Y%m%d%H%M%SZ)" \
			-enddate "$(date -u -d "+$1 sec" +%Y%m%d%H%M%SZ)" 2>"$WORK/log/ca" ||
		fail "no certificate: $(cat "$WORK/log/ca")"
	mv "$at.key.new" "$at.key"
	mv "$at.crt.new" "$at.crt"
}

step "in sync with one that lasts for some seconds, and another in its place at once"
certificate_for 12
ends=$(($(date +%s) + 12))
kubeconfig "$AGENT_CONFIG" "$(by_certificate agent)"
source_start --silence 2000
certificate_for 3600
remote_pod shop/a 192.0.2.1 2001:db8::1 app=web
told 'key == "shop/a"'

step "told of what comes after it ran out"
wait_until 30 "it has run out" eval "[ \$(date +%s) -gt $((ends + 1)) ]"
mark
remote_pod shop/b 192.0.2.2 2001:db8::2 app=web
told 'key == "shop/b" and e["addrs"]'
same
