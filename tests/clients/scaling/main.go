// Runs a scaling test of network policies as the scaling suite of cf-networking-release
// does, without any code of cf-pusher: it uses version 0 of the policy server's API, and
// sends requests to the router with the header Host. It uses the Cloud Controller CF_API,
// as CF_USERNAME with CF_PASSWORD, and reads the parameters of the test from the file
// CONFIG.
//
// Each step prints a line. The first step that fails ends the program with code 1.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// The parameters of the test, with the keys of its configuration.
type parameters struct {
	Prefix         string `json:"prefix"`
	Proxies        int    `json:"proxy_applications"`
	ProxyInstances int    `json:"proxy_instances"`
	Ticks          int    `json:"test_applications"`
	TickInstances  int    `json:"test_app_instances"`
	ExtraPorts     int    `json:"extra_listen_ports"`
	SamplePercent  int    `json:"sample_percent"`
	WaitSeconds    int    `json:"policy_update_wait_seconds"`
}

type witness struct {
	parameters
	api, token, domain string
	http               *http.Client
}

type connection struct {
	proxy, address string
	port           int
}

type policy struct {
	Source      end         `json:"source"`
	Destination destination `json:"destination"`
}

type end struct {
	ID string `json:"id"`
}

type destination struct {
	ID       string `json:"id"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
}

func main() {
	w := &witness{
		parameters: parameters{Prefix: "scale-", SamplePercent: 100},
		api:        os.Getenv("CF_API"),
		http: &http.Client{
			Timeout: 30 * time.Second,
			Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext:       (&net.Dialer{Timeout: 4 * time.Second}).DialContext,
			},
		},
	}
	step("read the parameters", w.read)
	step("log in", w.logIn)
	step("find the domain of the apps", w.findDomain)
	step("check that all instances are registered", w.checkRegistry)
	proxies, ticks := w.names("proxy", w.Proxies), w.names("tick", w.Ticks)
	w.test("one client", proxies[:1], ticks)
	w.test("one server", proxies, ticks[:1])
}

func step(name string, do func() error) {
	if err := do(); err != nil {
		fmt.Printf("FAIL  scaling  %s: %v\n", name, err)
		os.Exit(1)
	}
	fmt.Printf("ok  scaling  %s\n", name)
}

// Tests that connections fail without policies, succeed with them, and fail again.
func (w *witness) test(context string, proxies, ticks []string) {
	var connections []connection
	var policies []policy
	wait := time.Duration(w.WaitSeconds) * time.Second
	step(context+": list the connections", func() (err error) {
		connections, err = w.connections(proxies, ticks)
		return err
	})
	step(context+": fail without policies", func() error {
		return w.check(connections, "request failed")
	})
	step(context+": create the policies", func() (err error) {
		if policies, err = w.policies(proxies, ticks); err != nil {
			return err
		}
		return w.send("/networking/v0/external/policies", policies)
	})
	time.Sleep(wait)
	step(context+": succeed with policies", func() error {
		return w.check(connections, "application_name")
	})
	step(context+": delete the policies", func() error {
		return w.send("/networking/v0/external/policies/delete", policies)
	})
	time.Sleep(wait)
	step(context+": fail after the deletion", func() error {
		return w.check(connections, "request failed")
	})
}

func (w *witness) read() error {
	text, err := os.ReadFile(os.Getenv("CONFIG"))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &w.parameters)
}

func (w *witness) logIn() error {
	form := url.Values{
		"grant_type": {"password"},
		"username":   {os.Getenv("CF_USERNAME")},
		"password":   {os.Getenv("CF_PASSWORD")},
	}
	request, err := http.NewRequest("POST", w.api+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.SetBasicAuth("cf", "")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = w.do(request, &answer)
	w.token = answer.AccessToken
	return err
}

func (w *witness) findDomain() error {
	var list struct {
		Resources []struct {
			Name     string `json:"name"`
			Internal bool   `json:"internal"`
		} `json:"resources"`
	}
	if err := w.get("/v3/domains", &list); err != nil {
		return err
	}
	for _, domain := range list.Resources {
		if !domain.Internal {
			w.domain = domain.Name
			return nil
		}
	}
	return fmt.Errorf("the foundation has no domain for apps")
}

func (w *witness) names(kind string, count int) []string {
	var names []string
	for i := 0; i < count; i++ {
		names = append(names, fmt.Sprintf("%s%s-%d", w.Prefix, kind, i))
	}
	return names
}

// The IP addresses of the registered instances by the names of their apps.
func (w *witness) registered() (map[string][]string, int, error) {
	var list struct {
		Instances []struct {
			ServiceName string `json:"service_name"`
			Endpoint    struct {
				Value string `json:"value"`
			} `json:"endpoint"`
		} `json:"instances"`
	}
	body, err := w.app(w.Prefix+"registry", "/api/v1/instances")
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		return nil, 0, fmt.Errorf("%v: %s", err, body)
	}
	addresses := map[string][]string{}
	for _, instance := range list.Instances {
		ip, _, err := net.SplitHostPort(instance.Endpoint.Value)
		if err != nil {
			return nil, 0, err
		}
		addresses[instance.ServiceName] = append(addresses[instance.ServiceName], ip)
	}
	return addresses, len(list.Instances), nil
}

func (w *witness) checkRegistry() error {
	expected := w.Ticks * w.TickInstances
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, count, err := w.registered()
		if err == nil && count == expected {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d instances are registered (%v)", count, expected, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (w *witness) ports() []int {
	ports := []int{8080}
	for i := 0; i < w.ExtraPorts; i++ {
		ports = append(ports, 7000+i)
	}
	return ports
}

func (w *witness) connections(proxies, ticks []string) ([]connection, error) {
	addresses, _, err := w.registered()
	if err != nil {
		return nil, err
	}
	var all []connection
	for _, proxy := range proxies {
		for _, tick := range ticks {
			for _, address := range addresses[tick] {
				for _, port := range w.ports() {
					all = append(all, connection{proxy, address, port})
				}
			}
		}
	}
	expected := len(proxies) * len(ticks) * w.TickInstances * len(w.ports())
	if len(all) != expected {
		return nil, fmt.Errorf("%d connections, not %d", len(all), expected)
	}
	return all, nil
}

func (w *witness) policies(proxies, ticks []string) ([]policy, error) {
	var list struct {
		Resources []struct {
			GUID string `json:"guid"`
			Name string `json:"name"`
		} `json:"resources"`
	}
	if err := w.get("/v3/apps?per_page=5000", &list); err != nil {
		return nil, err
	}
	guids := map[string]string{}
	for _, app := range list.Resources {
		guids[app.Name] = app.GUID
	}
	var policies []policy
	for _, proxy := range proxies {
		for _, tick := range ticks {
			for _, port := range w.ports() {
				policies = append(policies, policy{
					end{guids[proxy]},
					destination{guids[tick], "tcp", port},
				})
			}
		}
	}
	return policies, nil
}

// Tries a sample of the connections: the body of each response must contain a text.
func (w *witness) check(all []connection, expected string) error {
	size := len(all) * w.SamplePercent / 100
	if size < 1 || size > len(all) {
		size = len(all)
	}
	sample := make(chan connection, size)
	for _, i := range rand.Perm(len(all))[:size] {
		sample <- all[i]
	}
	close(sample)
	failures := make(chan error, size)
	var workers sync.WaitGroup
	for i := 0; i < 10*w.ProxyInstances; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for connection := range sample {
				if err := w.try(connection, expected); err != nil {
					failures <- err
				}
			}
		}()
	}
	workers.Wait()
	close(failures)
	if first, failed := <-failures; failed {
		return fmt.Errorf("%d of %d connections: %v", len(failures)+1, size, first)
	}
	return nil
}

func (w *witness) try(c connection, expected string) error {
	path := fmt.Sprintf("/proxy/%s:%d", c.address, c.port)
	for tries := 1; ; tries++ {
		body, err := w.app(c.proxy, path)
		if err == nil && strings.Contains(body, expected) {
			return nil
		}
		if tries == 3 {
			return fmt.Errorf("%s%s: %q, %v", c.proxy, path, body, err)
		}
		time.Sleep(time.Second)
	}
}

// The body of an app's response with any status.
func (w *witness) app(name, path string) (string, error) {
	request, err := http.NewRequest("GET", w.api+path, nil)
	if err != nil {
		return "", err
	}
	request.Host = name + "." + w.domain
	response, err := w.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func (w *witness) send(path string, policies []policy) error {
	for len(policies) > 0 {
		count := min(100, len(policies))
		body, err := json.Marshal(map[string][]policy{"policies": policies[:count]})
		if err != nil {
			return err
		}
		policies = policies[count:]
		request, err := http.NewRequest("POST", w.api+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "bearer "+w.token)
		if err := w.do(request, nil); err != nil {
			return err
		}
	}
	return nil
}

func (w *witness) get(path string, answer any) error {
	request, err := http.NewRequest("GET", w.api+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "bearer "+w.token)
	return w.do(request, answer)
}

func (w *witness) do(request *http.Request, answer any) error {
	response, err := w.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", request.Method, request.URL.Path, response.Status, body)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(body, answer)
}
