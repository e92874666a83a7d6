// A Cloud Foundry client, tested against mock-capi.
package client

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// mock is a mock-capi process with the resources of the seed file.
type mock struct {
	*testing.T
	api, token string
}

func start(t *testing.T) *mock {
	program := os.Getenv("MOCK_CAPI_BIN")
	if program == "" {
		program = "mock-capi"
	}
	command := exec.Command(program, "--listen", "127.0.0.1:0", "--seed-file", "../seed.yml")
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(line)
	m := &mock{T: t, api: words[len(words)-1]}
	login := url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {"admin"}}
	request, _ := http.NewRequest("POST", m.api+"/uaa/oauth/token", strings.NewReader(login.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("cf", "")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	m.do(request, &token)
	m.token = token.AccessToken
	return m
}

// send returns the status of a response, and decodes its JSON into `into`.
func (m *mock) send(method, path, body string, into any) int {
	request, err := http.NewRequest(method, m.api+path, strings.NewReader(body))
	if err != nil {
		m.Fatal(err)
	}
	request.Header.Set("Authorization", "bearer "+m.token)
	return m.do(request, into)
}

func (m *mock) do(request *http.Request, into any) int {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		m.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		m.Fatal(fmt.Errorf("%w in %s", err, text))
	}
	return answer.StatusCode
}

func TestTheAppOfTheSeedFileRuns(t *testing.T) {
	t.Parallel()
	var apps struct{ Resources []struct{ State string } }
	start(t).send("GET", "/v3/apps?names=web", "", &apps)
	if len(apps.Resources) != 1 || apps.Resources[0].State != "STARTED" {
		t.Fatalf("%+v", apps)
	}
}

func TestAStubAnswersOnce(t *testing.T) {
	t.Parallel()
	m := start(t)
	m.send("PUT", "/_mock/stubs", `[{"path": "/v3/apps", "status": 502, "body": {}, "times": 1}]`, nil)
	for _, expected := range []int{502, 200} {
		if status := m.send("GET", "/v3/apps", "", nil); status != expected {
			t.Fatalf("%d instead of %d", status, expected)
		}
	}
}

func TestAFaultRefusesOneRequest(t *testing.T) {
	t.Parallel()
	m := start(t)
	m.send("PUT", "/_mock/faults",
		`[{"fault": "answer", "method": "GET", "path": "/v3/apps", "status": 503, "times": 1}]`, nil)
	for _, expected := range []int{503, 200} {
		if status := m.send("GET", "/v3/apps", "", nil); status != expected {
			t.Fatalf("%d instead of %d", status, expected)
		}
	}
}

func TestTheAppsWereListedExactlyOnceSinceTheReset(t *testing.T) {
	t.Parallel()
	m := start(t)
	m.send("GET", "/v3/apps", "", nil)
	m.send("POST", "/_mock/reset", "", nil)
	m.send("GET", "/v3/apps?names=web", "", nil)
	var verified any
	status := m.send("POST", "/_mock/verify",
		`{"request": {"method": "GET", "path": "/v3/apps"}, "count": 1}`, &verified)
	if status != 200 {
		t.Fatal(verified)
	}
}
