# Checks a foundation for scripts/bosh-lite and scripts/kind, which source this file.
# shellcheck shell=bash disable=SC2154
#
# Before they call run_checks, they set:
#
#   foundation     the name at the beginning of error messages
#   default_api    the API if CF_API is not set
#   default_user   the user if CF_USERNAME is not set
#   deadline       the seconds that a request may take
#   start_it       advice if the API cannot be reached
#   look_at_it     how to check that a component is running
#   apps_domain    the expected shared domain of apps
#
# They define `usage`, `find_password`, which sets $password or ends the run, and
# `check_more`, which checks the requirements of this kind of foundation.

mode='export'

ok() { printf 'ok: %s\n' "$1" >&2; }

# Ends the run with a message about the problem and its fix. Under eval, the exit status
# is lost, so the output is a command that fails.
die() {
  printf '%s: %s\n' "$foundation" "$1" >&2
  if [[ $mode == export ]]; then echo false; fi
  exit 1
}

# request CONFIG ARGUMENT...
# Sends a request with curl and sets $status and $body. CONFIG is curl configuration, which
# is passed through a pipe, so that secrets are not among the arguments. Fails, with $fault
# set, if there is no response.
request() {
  local config=$1 answer code=0
  shift
  answer=$(printf '%s\n' "$config" | curl -q --config - --silent --insecure \
    --connect-timeout "$deadline" --max-time "$deadline" \
    --header 'Accept: application/json' --write-out '\n%{http_code}' "$@") || code=$?
  case $code in
    0) ;;
    3) fault='its URL is malformed' ;;
    6) fault='its name does not resolve' ;;
    7) fault='the connection is refused' ;;
    28) fault="it did not respond within $deadline seconds" ;;
    35) fault='the TLS handshake fails' ;;
    *) fault="curl fails with exit status $code" ;;
  esac
  if [[ $code != 0 ]]; then return 1; fi
  status=${answer##*$'\n'}
  # sed can read JSON that is on one line and has no spaces.
  body=$(printf '%s' "${answer%$'\n'*}" | tr -d ' \t\r\n')
}

# Prints the first string with this name in $body.
field() { printf '%s' "$body" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Prints the href of this link in $body.
link() { printf '%s' "$body" | sed -n "s/.*\"$1\":{[^}]*\"href\":\"\([^\"]*\)\".*/\1/p"; }

# Quotes a string for curl's configuration, with \ and " escaped.
curl_quote() { printf '%s' "$1" | sed -e 's/[\\"]/\\&/g' -e '1s/^/"/' -e '$s/$/"/'; }

# Quotes a string for a shell.
shell_quote() { printf '%s' "$1" | sed -e "s/'/'\\\\''/g" -e "1s/^/'/" -e "\$s/\$/'/"; }

check_tools() {
  command -v curl >/dev/null || die 'curl is not installed: install it, and run this again.'
}

check_api() {
  request '' "$api/" ||
    die "$api cannot be reached, $fault: $start_it, or set CF_API to its API."
  if [[ -z $(link cloud_controller_v3) ]]; then
    die "$api responds (status $status), but is not a Cloud Controller with a v3 API: set CF_API to the API of the foundation, or check with '$look_at_it' that its api is running."
  fi
  uaa=$(link uaa)
  if [[ -z $uaa ]]; then uaa=$(link login); fi
  ok "$api is a Cloud Controller"
}

check_uaa() {
  [[ -n $uaa ]] || die "$api does not have the URL of its UAA (a link named uaa or login): repair the deployment."
  request '' "$uaa/info" || die "the UAA at $uaa cannot be reached, $fault: add a route to it, as to $api."
  # The router responds with 404 for a route that is not registered.
  if [[ $status == 5* || ($status == 404 && $body == *Requestedroute*) ]]; then
    die "the UAA at $uaa is not running (status $status): check it with '$look_at_it'."
  fi
  ok "the UAA at $uaa responds"
}

check_login() {
  request "data-urlencode = $(curl_quote "password=$password")" \
    --user cf: --data grant_type=password --data-urlencode "username=$username" "$uaa/oauth/token" ||
    die "logging in to the UAA at $uaa failed, $fault: run this again."
  token=$(field access_token)
  case $status in
    200) ;;
    400 | 401)
      # An unknown client and a wrong password both cause a 401. The error distinguishes
      # them.
      if [[ $(field error) == invalid_client ]]; then
        die "the UAA at $uaa does not know the client cf: set CF_API to the API of a Cloud Foundry."
      fi
      die "the UAA at $uaa refuses the password of $username (status $status): correct CF_USERNAME and CF_PASSWORD, or unset CF_PASSWORD to have it looked up."
      ;;
    *) die "the login at $uaa failed with status $status: read the UAA's log." ;;
  esac
  [[ -n $token ]] || die "the UAA at $uaa responds to the login without a token: set CF_API to the API of a Cloud Foundry."
  ok "$username can log in"
}

# The apps domain is the first shared domain that is neither internal nor for TCP routes.
# To put each domain on its own line, the response is split at created_at, which each
# domain has once in v3, or at entity in v2. A foundation with v2 only responds to
# /v3/domains with 404.
check_domain() {
  local separator=created_at domain
  request "header = \"Authorization: bearer $token\"" "$api/v3/domains?per_page=5000" ||
    die "reading the domains of $api failed, $fault: run this again."
  if [[ $status == 404 ]]; then
    separator=entity
    request "header = \"Authorization: bearer $token\"" "$api/v2/shared_domains?results-per-page=100" ||
      die "reading the domains of $api failed, $fault: run this again."
  fi
  [[ $status == 200 ]] ||
    die "$api responds to the list of domains with status $status: log in as a user who may read them."
  domain=$(printf '%s' "$body" | sed "s/\"$separator\"/\\
/g" | sed -n \
    -e '/"internal":true/d' \
    -e '/"router_group":{/d' -e '/"router_group_guid":"/d' \
    -e '/"organization":{"data":{/d' \
    -e 's/.*"name":"\([^"]*\)".*/\1/p' | sed -n 1p)
  [[ -n $domain ]] || die "the foundation has no shared domain for apps: create one with 'cf create-shared-domain $apps_domain'."
  ok "apps get routes in the shared domain $domain"
}

# run_checks ARGUMENT...
# Runs all checks, and prints the environment unless --check is given.
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
