#!/bin/bash
# The agent and the helper with sealed seeds, in a mount namespace of its own: this machine's configuration, records and runtime
# folder are others here. $1 is alice, $2 is bob, $3 the agent's program. Prints what happened, a line for each step.
set -eu
mount -t tmpfs -o mode=0755 none /etc/pam_otp
mount -t tmpfs -o "mode=1730,gid=$(getent group pam_otp | cut -d: -f3)" none /var/lib/pam_otp
mkdir -p /run/pam_otp
mount -t tmpfs -o mode=0755 none /run/pam_otp
alice=$1 bob=$2 agent=$3
seed=3132333435363738393031323334353637383930
printf '[code]\nwindow = 10\n' > /etc/pam_otp/pam_otp.toml
otp-enroll --quiet admin init-store --yes
umask 077
printf 'HOTP/T30/6 %s - %s\n' "$alice" "$seed" "$bob" "${seed}aa" > /run/pam_otp/users.oath
otp-enroll --quiet admin import oath /run/pam_otp/users.oath
otp-enroll --quiet admin seal --host --yes > /run/pam_otp/recovery-key
grep -c '^secret' "/var/lib/pam_otp/$alice.toml" || :
code() { # another one each time, of the next minutes
  echo >> /run/pam_otp/codes
  oathtool --totp --now="now +$(($(wc -l < /run/pam_otp/codes) * 30)) seconds" "$seed"
}
as() { # as USER COMMAND…
  setpriv --reuid "$1" --regid "$1" --init-groups "${@:2}"
}
ask() { # ask GROUP ABOUT: what the agent answers to alice with that group
  setpriv --reuid "$alice" --regid "$1" --clear-groups /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/pam_otp/agent")
s.sendall(("{\"about\":\"%s\",\"request\":{\"seal-keys\":{}}}\n" % sys.argv[1]).encode())
print(s.makefile().readline().strip())' "$2"
}
told() { # the first line of what is said
  "$@" 2>&1 | head -n 1
}

echo "without an agent: $(told as "$alice" otp-enroll test --stdin <<< "$(code)")"
echo "without an agent: $(told as "$alice" otp-enroll rename 1 other --stdin <<< "$(code)")"

/usr/bin/python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("/run/pam_otp/agent")
os.chmod("/run/pam_otp/agent", 0o666)
s.listen(10)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], sys.argv[1:])' "$agent" < /dev/null > /dev/null 2>&1 &
trap 'kill $!' EXIT
while [ ! -S /run/pam_otp/agent ]; do sleep 0.05; done
sleep 0.3

echo "with an agent: $(told as "$alice" otp-enroll test --stdin <<< "$(code)")"
echo "wrong: $(told as "$alice" otp-enroll test --stdin <<< 000000)"
echo "renamed: $(told as "$alice" otp-enroll rename 1 'my phone' --stdin <<< "$(code)")"
grep -c '^sealed' "/var/lib/pam_otp/$alice.toml"
grep -x 'name = "my phone"' "/var/lib/pam_otp/$alice.toml"
as "$alice" otp-enroll add second --json > /run/pam_otp/offer 2>&1 <<< "$(code)" || :
echo "offered: $(grep -c otpauth /run/pam_otp/offer)"
echo "by hand: $(ask "$alice" "$alice")"
echo "about bob: $(ask pam_otp "$bob")"
keys=$(ask pam_otp "$alice")
master=$(tail -c 32 /run/pam_otp/seal-keys | od -An -tx1 | tr -d ' \n')
echo "own keys: ${#keys}, the key of all among them: $(grep -c "$master" <<< "$keys" || :)"
rm /run/pam_otp/seal-keys
echo "no key: $(told as "$alice" otp-enroll test --stdin <<< "$(code)")"
