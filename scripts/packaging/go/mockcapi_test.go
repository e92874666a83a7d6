package mockcapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cf-pusher/mockcapi"
)

type state struct {
	Organizations []struct{ Name, GUID string }
	Domains       []struct{ Name string }
}

// createOrg is the client under test. It returns the status.
func createOrg(t *testing.T, mock *mockcapi.Mock, token, name string) int {
	t.Helper()
	return send(t, mock, "POST", "/v3/organizations", token, map[string]string{"name": name})
}

func send(t *testing.T, mock *mockcapi.Mock, method, path, token string, body any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(method, mock.URL+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "bearer "+token)
	answer, err := mock.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func organizations(mock *mockcapi.Mock) int {
	var now state
	mock.State(&now)
	return len(now.Organizations)
}

func TestEachMockHasItsOwnState(t *testing.T) {
	first, second := mockcapi.Start(t), mockcapi.Start(t)
	if status := createOrg(t, first, first.Token("admin", "admin"), "mine"); status != 201 {
		t.Fatal(status)
	}
	if organizations(first) != 1 || organizations(second) != 0 {
		t.Error(organizations(first), organizations(second))
	}
	first.Reset()
	if organizations(first) != 0 {
		t.Error("a reset mock has an organization")
	}
}

func TestAFaultIsAppliedTheGivenNumberOfTimes(t *testing.T) {
	t.Parallel()
	mock := mockcapi.Start(t)
	token := mock.Token("admin", "admin")
	mock.SetFaults(mockcapi.Fault{"fault": "answer", "path": "/v3/organizations", "status": 503, "times": 1})
	for _, expected := range []int{503, 201} {
		if status := createOrg(t, mock, token, "mine"); status != expected {
			t.Errorf("%d instead of %d", status, expected)
		}
	}
	if matched := mock.Faults()[0]["matched"]; matched != 2.0 {
		t.Error(matched)
	}
	mock.SetFaults()
	if faults := mock.Faults(); len(faults) != 0 {
		t.Error(faults)
	}
	mock.Verify(mockcapi.Request{"method": "POST", "path": "/v3/organizations", "status": 503}, mockcapi.Count(1))
	mock.Verify(mockcapi.Request{"path": "/v3/organizations"}, mockcapi.AtLeast(1), mockcapi.AtMost(2))
}

func TestAStubReplacesTheResponseOfTheFake(t *testing.T) {
	t.Parallel()
	mock := mockcapi.Start(t)
	mock.SetStubs(mockcapi.Stub{"path": "/v3/organizations", "status": 418})
	if status := createOrg(t, mock, mock.Token("admin", "admin"), "mine"); status != 418 {
		t.Error(status)
	}
}

func TestTimePassesWithoutWaiting(t *testing.T) {
	t.Parallel()
	mock := mockcapi.Start(t)
	token := mock.Token("admin", "admin")
	mock.SetTimes(map[string]any{"job": "1h"})
	createOrg(t, mock, token, "mine")
	var before state
	mock.State(&before)
	path := "/v3/organizations/" + before.Organizations[0].GUID
	if status := send(t, mock, "DELETE", path, token, nil); status != 202 {
		t.Fatal(status)
	}
	if organizations(mock) != 1 {
		t.Error("the job has taken no time")
	}
	mock.Advance(time.Hour)
	if organizations(mock) != 0 {
		t.Error("the job has not ended")
	}
}

func TestExpiredTokensAreRefused(t *testing.T) {
	t.Parallel()
	mock := mockcapi.Start(t)
	token := mock.Token("admin", "admin")
	mock.ExpireTokens()
	if status := createOrg(t, mock, token, "mine"); status != 401 {
		t.Error(status)
	}
}

func TestFlagsAreThoseOfTheCommand(t *testing.T) {
	t.Parallel()
	mock := mockcapi.Start(t, "--add-user", "dev:secret", "--apps-domain", "go.test", "--verbose")
	mock.Token("dev", "secret")
	var now state
	mock.State(&now)
	found := false
	for _, domain := range now.Domains {
		found = found || domain.Name == "go.test"
	}
	if !found {
		t.Error(now.Domains)
	}
	if !strings.Contains(mock.Log(), "POST /uaa/oauth/token 200") {
		t.Error(mock.Log())
	}
}

func TestTLSNeedsNoSetting(t *testing.T) {
	t.Parallel()
	mock := mockcapi.Start(t, "--tls")
	if !strings.HasPrefix(mock.URL, "https://") || mock.Certificate == "" {
		t.Error(mock.URL, mock.Certificate)
	}
	mock.Token("admin", "admin")
}

// failing records that a test fails, instead of failing.
type failing struct {
	*testing.T
	messages []string
}

func (f *failing) Helper() {}

func (f *failing) Errorf(format string, values ...any) {
	f.messages = append(f.messages, fmt.Sprintf(format, values...))
}

func (f *failing) Fatal(values ...any) {
	f.messages = append(f.messages, fmt.Sprint(values...))
	panic(f)
}

func (f *failing) Fatalf(format string, values ...any) { f.Fatal(fmt.Sprintf(format, values...)) }

// failures runs a test that fails, and returns its messages.
func failures(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	f := &failing{T: t}
	func() {
		defer func() {
			if messages := recover(); messages != nil && messages != any(f) {
				panic(messages)
			}
		}()
		test(f)
	}()
	return strings.Join(f.messages, "\n")
}

func TestAMissingRequestFailsTheTestWithNearMisses(t *testing.T) {
	t.Parallel()
	messages := failures(t, func(tb testing.TB) {
		mock := mockcapi.Start(tb)
		createOrg(t, mock, mock.Token("admin", "admin"), "mine")
		mock.Verify(mockcapi.Request{"path": "/v3/organizations", "body": map[string]string{"name": "yours"}})
	})
	if !strings.Contains(messages, "near_misses") || !strings.Contains(messages, "mine") {
		t.Error(messages)
	}
}

func TestARefusedLoginFailsTheTest(t *testing.T) {
	t.Parallel()
	messages := failures(t, func(tb testing.TB) { mockcapi.Start(tb).Token("admin", "wrong") })
	if !strings.Contains(messages, "logging in as admin failed with status 401") {
		t.Error(messages)
	}
}

func TestAMockThatCannotStartFailsTheTest(t *testing.T) {
	messages := failures(t, func(tb testing.TB) { mockcapi.Start(tb, "--frobnicate") })
	if !strings.Contains(messages, "did not start") || !strings.Contains(messages, "--frobnicate") {
		t.Error(messages)
	}
	t.Setenv(mockcapi.Variable, "/nowhere/mock-capi")
	messages = failures(t, func(tb testing.TB) { mockcapi.Start(tb) })
	if !strings.Contains(messages, "/nowhere/mock-capi cannot be run") {
		t.Error(messages)
	}
	t.Setenv(mockcapi.Variable, "")
	t.Setenv("PATH", t.TempDir())
	messages = failures(t, func(tb testing.TB) { mockcapi.Start(tb) })
	if !strings.Contains(messages, "mock-capi is not in the PATH") {
		t.Error(messages)
	}
}

// TestMain is also the program that TestAMockEndsWithAProcessThatIsKilled kills.
func TestMain(m *testing.M) {
	if file := os.Getenv("MOCKCAPI_TEST_URL_FILE"); file != "" {
		mock := mockcapi.Start(&testing.B{})
		if err := os.WriteFile(file+".new", []byte(mock.URL), 0o600); err != nil {
			panic(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			panic(err)
		}
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal("timed out waiting until ", what)
}

func TestAMockEndsWithAProcessThatIsKilled(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), "MOCKCAPI_TEST_URL_FILE="+file)
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	var url []byte
	eventually(t, "a mock starts", func() bool {
		url, _ = os.ReadFile(file)
		return len(url) > 0
	})
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = program.Wait()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	eventually(t, "the mock ends", func() bool {
		answer, err := client.Get(string(url) + "/_mock/health")
		if err == nil {
			answer.Body.Close()
		}
		return err != nil
	})
}
