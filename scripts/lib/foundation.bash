# Checks a foundation for scripts/bosh-lite and scripts/kind, which source this file.
# shellcheck shell=bash disable=SC2154
#
# They set, before they call run_checks:
#
#   foundation     the name at the beginning of error messages
#   default_api    the API without CF_API
#   default_user   the user without CF_USERNAME
#   deadline       the seconds that a request may take
#   start_it       advice if the API cannot be reached
#   look_at_it     how to check that a component is running
#   apps_domain    the expected shared domain of apps
#
# and define `usage`, `find_password`, which sets $password or ends the run, and
# `check_more`, which checks what only this kind of foundation needs.

mode='export'

ok() { printf 'ok: %s\n' "$1" >&2; }

# Ends the run with a message about the problem and its remedy. Under eval the exit status
# is lost, so the shell gets a command that fails.
die() {
  printf '%s: %s\n' "$foundation" "$1" >&2
  if [[ $mode == export ]]; then echo false; fi
  exit 1
}

# request CONFIG ARGUMENT...
# Makes one request with curl and sets $status and $body. CONFIG is curl
# configuration, sent over a pipe: secrets go there, never among the arguments.
# Fails, with $fault set, if there was no answer.
request() {
  local config=$1 answer code=0
  shift
  answer=$(printf '%s\n' "$config" | curl -q --config - --silent --insecure \
    --connect-timeout "$deadline" --max-time "$deadline" \
    --header 'Accept: application/json' --write-out '\n%{http_code}' "$@") || code=$?
  case $code in
    0) ;;
    3) fault='its address is malformed' ;;
    6) fault='its name does not resolve' ;;
    7) fault='the connection is refused' ;;
    28) fault="there is no answer within $deadline seconds" ;;
    35) fault='the TLS handshake fails' ;;
    *) fault="curl fails with exit status $code" ;;
  esac
  if [[ $code != 0 ]]; then return 1; fi
  status=${answer##*$'\n'}
  # On one line and without spaces, JSON is within the reach of sed.
  body=$(printf '%s' "${answer%$'\n'*}" | tr -d ' \t\r\n')
}

# The first string of that name in $body.
field() { printf '%s' "$body" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# The href of that link in $body.
link() { printf '%s' "$body" | sed -n "s/.*\"$1\":{[^}]*\"href\":\"\([^\"]*\)\".*/\1/p"; }

# A string as curl's configuration has it: in quotes, with \ and " escaped.
curl_quote() { printf '%s' "$1" | sed -e 's/[\\"]/\\&/g' -e '1s/^/"/' -e '$s/$/"/'; }

# A string as a shell has it.
shell_quote() { printf '%s' "$1" | sed -e "s/'/'\\\\''/g" -e "1s/^/'/" -e "\$s/\$/'/"; }

check_tools() {
  command -v curl >/dev/null || die 'curl is not installed: install it, and run this again.'
}

check_api() {
  request '' "$api/" ||
    die "$api cannot be reached, $fault: $start_it, or set CF_API to the API it has."
  if [[ -z $(link cloud_controller_v3) ]]; then
    die "$api answers (status $status), but not as a Cloud Controller with a v3 API: set CF_API to the API of the foundation, or look with '$look_at_it' whether its api is running."
  fi
  uaa=$(link uaa)
  if [[ -z $uaa ]]; then uaa=$(link login); fi
  ok "$api is a Cloud Controller"
}

check_uaa() {
  [[ -n $uaa ]] || die "$api does not say where its UAA is (it has no link named uaa or login): repair the deployment."
  request '' "$uaa/info" || die "the UAA at $uaa cannot be reached, $fault: route to it as to $api."
  # The router answers 404 for a route that nobody has registered.
  if [[ $status == 5* || ($status == 404 && $body == *Requestedroute*) ]]; then
    die "the UAA at $uaa is not running (status $status): look at it with '$look_at_it'."
  fi
  ok "the UAA at $uaa answers"
}

check_login() {
  request "data-urlencode = $(curl_quote "password=$password")" \
    --user cf: --data grant_type=password --data-urlencode "username=$username" "$uaa/oauth/token" ||
    die "the UAA at $uaa cannot be reached for the login, $fault: run this again."
  token=$(field access_token)
  case $status in
    200) ;;
    400 | 401)
      # Client and user are both refused with 401; which, the UAA says.
      if [[ $(field error) == invalid_client ]]; then
        die "the UAA at $uaa does not know the client cf: set CF_API to the API of a Cloud Foundry."
      fi
      die "the UAA at $uaa refuses the password of $username (status $status): correct CF_USERNAME and CF_PASSWORD, or unset CF_PASSWORD to have it looked up."
      ;;
    *) die "the login at $uaa fails with status $status: look at the UAA's log." ;;
  esac
  [[ -n $token ]] || die "the UAA at $uaa answers the login without a token: set CF_API to the API of a Cloud Foundry."
  ok "$username can log in"
}

# The apps domain is the first that every org has, and that is neither internal
# nor for TCP routes. One domain a line: in v3 each has one created_at, in v2 one
# entity (a v2-only foundation answers 404 on /v3/domains).
check_domain() {
  local separator=created_at domain
  request "header = \"Authorization: bearer $token\"" "$api/v3/domains?per_page=5000" ||
    die "$api cannot be reached for its domains, $fault: run this again."
  if [[ $status == 404 ]]; then
    separator=entity
    request "header = \"Authorization: bearer $token\"" "$api/v2/shared_domains?results-per-page=100" ||
      die "$api cannot be reached for its domains, $fault: run this again."
  fi
  [[ $status == 200 ]] ||
    die "$api answers the list of domains with status $status: log in as a user who may read them."
  domain=$(printf '%s' "$body" | sed "s/\"$separator\"/\\
/g" | sed -n \
    -e '/"internal":true/d' \
    -e '/"router_group":{/d' -e '/"router_group_guid":"/d' \
    -e '/"organization":{"data":{/d' \
    -e 's/.*"name":"\([^"]*\)".*/\1/p' | sed -n 1p)
  [[ -n $domain ]] || die "there is no shared domain for apps: make one with 'cf create-shared-domain $apps_domain'."
  ok "apps get routes in the shared domain $domain"
}

# run_checks ARGUMENT...
# Runs all checks, and prints the environment unless it is only to check.
run_checks() {
  case $* in
    '') ;;
    --check) mode=check ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
  esac

  api=${CF_API:-$default_api}
  api=${api%/}
  if [[ $api != *://* ]]; then api=https://$api; fi
  username=${CF_USERNAME:-$default_user}

  check_tools
  check_api
  check_uaa
  find_password
  ok "the password of $username is known, from $password_source"
  check_login
  check_domain
  check_more

  if [[ $mode == export ]]; then
    printf 'export CF_API=%s\n' "$(shell_quote "$api")"
    printf 'export CF_USERNAME=%s\n' "$(shell_quote "$username")"
    printf 'export CF_PASSWORD=%s\n' "$(shell_quote "$password")"
    printf 'export CF_SKIP_SSL_VALIDATION=true\n'
  fi
}
