// Package mockcapi starts mock-capi, a fake Cloud Foundry Cloud Controller, for tests in
// Go:
//
//	func TestMyClientRetries(t *testing.T) {
//		mock := mockcapi.Start(t)
//		mock.SetFaults(mockcapi.Fault{"fault": "answer", "method": "POST",
//			"path": "/v3/apps", "status": 503, "times": 1})
//		client := myclient.New(mock.URL, mock.Token("admin", "admin"))
//		...
//		mock.Verify(mockcapi.Request{"method": "POST", "path": "/v3/apps"}, mockcapi.Count(2))
//	}
//
// The binary is MOCK_CAPI_BIN, or else mock-capi in the PATH. Each mock has its own port
// of 127.0.0.1 and its own state, so tests may run in parallel. It stops at the end of
// the test, or with the test program if that is killed.
//
// The methods fail the test if mock-capi cannot be reached or refuses a request.
package mockcapi

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Variable is the name of the environment variable with the path of the binary.
const Variable = "MOCK_CAPI_BIN"

// deadline is the maximum time that a mock may take to start, to stop, and to respond.
const deadline = 30 * time.Second

// Fault is a failure to inject, with the keys that docs/mock-capi.md lists.
type Fault map[string]any

// Stub is a response that replaces the fake's: "method", "path", "status", "headers",
// "body", "times".
type Stub map[string]any

// Request selects requests: "method", "path", "user", "status", "body".
type Request map[string]any

// Expectation is the expected number of requests.
type Expectation struct {
	key   string
	times int
}

// Count expects exactly this number of requests.
func Count(times int) Expectation { return Expectation{"count", times} }

// AtLeast expects this number of requests or more.
func AtLeast(times int) Expectation { return Expectation{"at_least", times} }

// AtMost expects this number of requests or fewer.
func AtMost(times int) Expectation { return Expectation{"at_most", times} }

// Mock is a running mock-capi.
type Mock struct {
	// URL is the address of the API, such as http://127.0.0.1:40213.
	URL string
	// Certificate is the file with the certificate of --tls, or empty.
	Certificate string

	t      testing.TB
	client *http.Client
	stderr *output
}

// output collects the output of a process, which can be read at the same time.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// Start starts mock-capi with these flags (mock-capi --help lists them, --listen is not
// allowed), and stops it at the end of the test. Every flag is also an environment
// variable.
func Start(t testing.TB, flags ...string) *Mock {
	t.Helper()
	mock, end, err := start(flags)
	if err != nil {
		t.Fatal(err)
	}
	mock.t = t
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("mock-capi ended with %v: %s", err, mock.Log())
		}
	})
	return mock
}

func binary() (string, error) {
	if path := os.Getenv(Variable); path != "" {
		return path, nil
	}
	path, err := exec.LookPath("mock-capi")
	if err != nil {
		return "", fmt.Errorf("mock-capi is not in the PATH: install it, or set %s (%w)", Variable, err)
	}
	return path, nil
}

// start returns a mock that listens, and a function that stops it.
func start(flags []string) (*Mock, func() error, error) {
	path, err := binary()
	if err != nil {
		return nil, nil, err
	}
	// mock-capi stops at the end of its standard input, which is also closed if this process
	// is killed.
	command := exec.Command(path, append(flags[:len(flags):len(flags)], "--until-eof", "--listen", "127.0.0.1:0")...)
	mock := &Mock{stderr: &output{}}
	command.Stderr = mock.stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := command.Start(); err != nil {
		return nil, nil, fmt.Errorf("%s cannot be run: %w", path, err)
	}
	end := func() error {
		closed := stdin.Close()
		late := time.AfterFunc(deadline, func() { _ = command.Process.Kill() })
		defer late.Stop()
		return errors.Join(closed, command.Wait())
	}
	if err := mock.readAddresses(stdout, command.Process); err != nil {
		_ = end()
		return nil, nil, fmt.Errorf("mock-capi did not start: %w: %s", err, strings.TrimSpace(mock.Log()))
	}
	return mock, end, nil
}

// readAddresses reads the lines that mock-capi prints when it listens.
func (m *Mock) readAddresses(stdout io.Reader, process *os.Process) error {
	// A mock that prints nothing is killed, which ends its output.
	late := time.AfterFunc(deadline, func() { _ = process.Kill() })
	defer late.Stop()
	lines := bufio.NewReader(stdout)
	line := func(prefix string) (string, error) {
		text, err := lines.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("it printed %q and ended", text)
		}
		rest, found := strings.CutPrefix(strings.TrimSpace(text), prefix)
		if !found {
			return "", fmt.Errorf("it printed %q", text)
		}
		return rest, nil
	}
	var err error
	if m.URL, err = line("mock-capi listening on "); err != nil {
		return err
	}
	// The address is local, so no proxy is used.
	transport := &http.Transport{}
	if strings.HasPrefix(m.URL, "https:") {
		if m.Certificate, err = line("mock-capi certificate in "); err != nil {
			return err
		}
		trusted, err := os.ReadFile(m.Certificate)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(trusted) {
			return fmt.Errorf("%s has no certificate", m.Certificate)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	m.client = &http.Client{Transport: transport, Timeout: deadline}
	return nil
}

// Client returns an HTTP client that trusts the certificate of --tls and uses no proxy.
func (m *Mock) Client() *http.Client { return m.client }

// Log returns the log of the mock so far. With --verbose, it has a line for each request.
func (m *Mock) Log() string { return m.stderr.String() }

// Token logs a user in and returns an access token. The administrator is admin, with the
// password admin.
func (m *Mock) Token(user, password string) string {
	m.t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}}
	request, err := http.NewRequest("POST", m.URL+"/uaa/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	request.SetBasicAuth("cf", "")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var token struct {
		Access string `json:"access_token"`
	}
	if status, text := m.send(request); status != http.StatusOK {
		m.t.Fatalf("logging in as %s failed with status %d: %s", user, status, text)
	} else if err := json.Unmarshal(text, &token); err != nil {
		m.t.Fatalf("logging in as %s failed: unexpected response %s: %v", user, text, err)
	}
	return token.Access
}

// Reset restores the initial state of the mock. Tokens stay valid.
func (m *Mock) Reset() {
	m.t.Helper()
	m.control("POST", "/_mock/reset", nil, nil)
}

// SetFaults replaces all faults. Without arguments, it removes them.
func (m *Mock) SetFaults(faults ...Fault) {
	m.t.Helper()
	m.control("PUT", "/_mock/faults", append([]Fault{}, faults...), nil)
}

// Faults returns the faults. "matched" and "applied" count the events of each.
func (m *Mock) Faults() []Fault {
	m.t.Helper()
	var faults []Fault
	m.control("GET", "/_mock/faults", nil, &faults)
	return faults
}

// SetStubs replaces all stubs.
func (m *Mock) SetStubs(stubs ...Stub) {
	m.t.Helper()
	m.control("PUT", "/_mock/stubs", append([]Stub{}, stubs...), nil)
}

// SetTimes sets the durations of operations, such as {"latency": "20ms", "staging":
// "3s"}.
func (m *Mock) SetTimes(times map[string]any) {
	m.t.Helper()
	m.control("PUT", "/_mock/times", times, nil)
}

// Advance advances the clock of the mock without waiting.
func (m *Mock) Advance(by time.Duration) {
	m.t.Helper()
	milliseconds := fmt.Sprintf("%dms", by.Milliseconds())
	m.control("POST", "/_mock/advance", map[string]string{"by": milliseconds}, nil)
}

// ExpireTokens expires all access tokens, so that clients must refresh them.
func (m *Mock) ExpireTokens() {
	m.t.Helper()
	m.control("POST", "/_mock/expire_tokens", nil, nil)
}

// State reads all resources into a value: a list for each kind, such as "apps".
func (m *Mock) State(into any) {
	m.t.Helper()
	m.control("GET", "/_mock/state", nil, into)
}

// Verify fails the test, with the near misses, unless a matching request was sent at
// least once, or the expected number of times.
func (m *Mock) Verify(request Request, expected ...Expectation) {
	m.t.Helper()
	body := map[string]any{"request": request}
	for _, it := range expected {
		body[it.key] = it.times
	}
	status, text := m.exchange("POST", "/_mock/verify", body)
	switch {
	case status == http.StatusConflict:
		m.t.Errorf("requests were not sent as expected: %s", text)
	case status >= 400:
		m.t.Fatalf("POST /_mock/verify failed with status %d: %s", status, text)
	}
}

// control sends a request to the mock's own endpoints, which must succeed.
func (m *Mock) control(method, path string, body, into any) {
	m.t.Helper()
	status, text := m.exchange(method, path, body)
	if status >= 400 {
		m.t.Fatalf("%s %s failed with status %d: %s", method, path, status, text)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		m.t.Fatalf("%s %s failed: unexpected response: %v", method, path, err)
	}
}

func (m *Mock) exchange(method, path string, body any) (int, []byte) {
	m.t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			m.t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, m.URL+path, content)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.send(request)
}

func (m *Mock) send(request *http.Request) (int, []byte) {
	m.t.Helper()
	answer, err := m.client.Do(request)
	if err != nil {
		m.t.Fatalf("mock-capi cannot be reached: %v: %s", err, m.Log())
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		m.t.Fatalf("the response of mock-capi cannot be read: %v", err)
	}
	return answer.StatusCode, text
}
