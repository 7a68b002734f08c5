#!/bin/sh
# Two conversations with curl: the second one remembers what was said in the first.
# It needs no API key. The person signs up, or signs in when the account exists:
#
#     EMAIL=you@example.com PASSWORD='correct horse' sh examples/curl_chat/chat.sh
set -eu

url=${KEEPSAKE_URL:-http://127.0.0.1:8000}
account="{\"email\": \"${EMAIL:-you@example.com}\", \"password\": \"${PASSWORD:-correct horse}\"}"

# post PATH JSON [TOKEN] prints the response; with an error status it fails.
post() {
  curl --silent --fail "$url$1" --header 'Content-Type: application/json' ${3:+--header "Authorization: Bearer $3"} --data "$2"
}

# field NAME… reads JSON and prints one value of it.
field() {
  python3 -c 'import functools, json, sys; print(functools.reduce(lambda value, name: value[name], sys.argv[1:], json.load(sys.stdin)))' "$@"
}

signed_in=$(post /v1/auth/signup "$account" || post /v1/auth/login "$account")
token=$(printf %s "$signed_in" | field access_token)

# Each request without a session_id starts a conversation of its own.
for message in "I moved to Lisbon in May." "Where did I move in May?"; do
  echo "> $message"
  post /v1/chat "{\"message\": \"$message\"}" "$token" | field message content
done
