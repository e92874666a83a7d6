// Runs an app through its whole lifecycle with go-cfclient, on the Cloud Controller
// CF_API, as CF_USERNAME with CF_PASSWORD.
//
// Each step asserts its result and prints a line. The first step that fails ends the
// program with code 1.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cloudfoundry/go-cfclient/v3/client"
	"github.com/cloudfoundry/go-cfclient/v3/config"
	"github.com/cloudfoundry/go-cfclient/v3/resource"
)

// Polls often and times out early.
var polling = &client.PollingOptions{
	FailedState:   "FAILED",
	Timeout:       time.Minute,
	CheckInterval: 50 * time.Millisecond,
}

// The results that steps pass to later steps.
type life struct {
	cf                                      *client.Client
	org, space, app, clone, droplet, domain string
	route, quota, group                     string
}

type step struct {
	name string
	do   func(*life, context.Context) error
}

var steps = []step{
	{"log in", (*life).logIn},
	{"refuse a wrong password", (*life).refuseWrongPassword},
	{"create an organization", (*life).createOrg},
	{"create a space", (*life).createSpace},
	{"assign a role", (*life).assignRole},
	{"apply a quota to the organization", (*life).applyQuota},
	{"create an app", (*life).createApp},
	{"set its environment", (*life).setEnvironment},
	{"upload and stage its bits", (*life).stage},
	{"start it", (*life).start},
	{"map a route", (*life).mapRoute},
	{"scale it", (*life).scale},
	{"show its instances", (*life).showInstances},
	{"restart one of them", (*life).restartInstance},
	{"read its log", (*life).readLog},
	{"clone it with its droplet", (*life).cloneApp},
	{"deploy it again", (*life).deploy},
	{"run a task", (*life).runTask},
	{"bind a security group", (*life).bindSecurityGroup},
	{"exceed the quota", (*life).exceedQuota},
	{"apply a manifest", (*life).applyManifest},
	{"list in pages", (*life).listInPages},
	{"delete an app", (*life).deleteApp},
	{"delete the organization", (*life).deleteOrg},
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var life life
	for _, step := range steps {
		if err := step.do(&life, ctx); err != nil {
			fmt.Printf("FAIL  go-cfclient  %s: %v\n", step.name, err)
			os.Exit(1)
		}
		fmt.Printf("ok  go-cfclient  %s\n", step.name)
	}
}

// Returns an error unless a value is the expected one.
func expect[T comparable](what string, actual, expected T) error {
	if actual != expected {
		return fmt.Errorf("%s is %v, not %v", what, actual, expected)
	}
	return nil
}

// Returns a client that has tried to log in.
func connect(password string) (*client.Client, error) {
	cfg, err := config.New(os.Getenv("CF_API"), config.UserPassword(os.Getenv("CF_USERNAME"), password))
	if err != nil {
		return nil, err
	}
	return client.New(cfg)
}

func (l *life) logIn(ctx context.Context) error {
	cf, err := connect(os.Getenv("CF_PASSWORD"))
	if err != nil {
		return err
	}
	l.cf = cf
	_, err = cf.Organizations.ListAll(ctx, nil)
	return err
}

func (l *life) refuseWrongPassword(context.Context) error {
	_, err := connect(os.Getenv("CF_PASSWORD") + "-wrong")
	if err == nil || !strings.Contains(err.Error(), "Bad credentials") {
		return fmt.Errorf("the error is: %v", err)
	}
	return nil
}

func (l *life) createOrg(ctx context.Context) error {
	name := fmt.Sprintf("go-cfclient-%d", os.Getpid())
	org, err := l.cf.Organizations.Create(ctx, resource.NewOrganizationCreate(name))
	if err != nil {
		return err
	}
	l.org = org.GUID
	_, err = l.cf.Organizations.Create(ctx, resource.NewOrganizationCreate(name))
	if !resource.IsUnprocessableEntityError(err) {
		return fmt.Errorf("creating a second one with the same name: %v", err)
	}
	options := client.NewOrganizationListOptions()
	options.Names.EqualTo(name)
	found, err := l.cf.Organizations.Single(ctx, options)
	if err != nil {
		return err
	}
	return expect("the organization with its name", found.GUID, l.org)
}

func (l *life) createSpace(ctx context.Context) error {
	space, err := l.cf.Spaces.Create(ctx, resource.NewSpaceCreate("space", l.org))
	if err != nil {
		return err
	}
	l.space = space.GUID
	_, org, err := l.cf.Spaces.GetIncludeOrganization(ctx, l.space)
	if err != nil {
		return err
	}
	return expect("its organization", org.GUID, l.org)
}

func (l *life) assignRole(ctx context.Context) error {
	user := os.Getenv("CF_USERNAME")
	manager := resource.OrganizationRoleManager
	role, err := l.cf.Roles.CreateOrganizationRoleWithUsername(ctx, l.org, user, manager, "uaa")
	if err != nil {
		return err
	}
	if err := expect("its type", role.Type, "organization_manager"); err != nil {
		return err
	}
	users, err := l.cf.Organizations.ListUsersAll(ctx, l.org, nil)
	if err != nil {
		return err
	}
	isOurs := func(other *resource.User) bool { return other.Username != nil && *other.Username == user }
	if !slices.ContainsFunc(users, isOurs) {
		return fmt.Errorf("%s is not among the organization's %d users", user, len(users))
	}
	job, err := l.cf.Roles.Delete(ctx, role.GUID)
	if err != nil {
		return err
	}
	return l.cf.Jobs.PollComplete(ctx, job, polling)
}

func (l *life) applyQuota(ctx context.Context) error {
	name := fmt.Sprintf("go-cfclient-%d", os.Getpid())
	create := resource.NewOrganizationQuotaCreate(name).WithAppsTotalMemoryInMB(2048).WithTotalRoutes(3)
	quota, err := l.cf.OrganizationQuotas.Create(ctx, create)
	if err != nil {
		return err
	}
	l.quota = quota.GUID
	if err := expect("its memory", *quota.Apps.TotalMemoryInMB, 2048); err != nil {
		return err
	}
	orgs, err := l.cf.OrganizationQuotas.Apply(ctx, l.quota, []string{l.org})
	if err != nil {
		return err
	}
	if !slices.Contains(orgs, l.org) {
		return fmt.Errorf("it has the organizations %v", orgs)
	}
	org, err := l.cf.Organizations.Get(ctx, l.org)
	if err != nil {
		return err
	}
	return expect("the organization's quota", org.Relationships.Quota.Data.GUID, l.quota)
}

func (l *life) createApp(ctx context.Context) error {
	app, err := l.cf.Applications.Create(ctx, resource.NewAppCreate("app", l.space))
	if err != nil {
		return err
	}
	l.app = app.GUID
	return expect("its state", app.State, "STOPPED")
}

func (l *life) setEnvironment(ctx context.Context) error {
	value := "hello"
	variables := map[string]*string{"GREETING": &value}
	if _, err := l.cf.Applications.SetEnvironmentVariables(ctx, l.app, variables); err != nil {
		return err
	}
	environment, err := l.cf.Applications.GetEnvironment(ctx, l.app)
	if err != nil {
		return err
	}
	if err := expect("GREETING", environment.EnvVars["GREETING"], value); err != nil {
		return err
	}
	var application struct {
		Name string `json:"application_name"`
	}
	if err := json.Unmarshal(environment.AppEnvVars["VCAP_APPLICATION"], &application); err != nil {
		return err
	}
	return expect("the name in VCAP_APPLICATION", application.Name, "app")
}

// An archive with one file.
func bits() (*bytes.Buffer, error) {
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	file, err := writer.Create("index.html")
	if err != nil {
		return nil, err
	}
	if _, err := file.Write([]byte("<h1>Hello</h1>")); err != nil {
		return nil, err
	}
	return &archive, writer.Close()
}

func (l *life) stage(ctx context.Context) error {
	pkg, err := l.cf.Packages.Create(ctx, resource.NewPackageCreate(l.app))
	if err != nil {
		return err
	}
	archive, err := bits()
	if err != nil {
		return err
	}
	if _, err := l.cf.Packages.Upload(ctx, pkg.GUID, archive); err != nil {
		return err
	}
	if err := l.cf.Packages.PollReady(ctx, pkg.GUID, polling); err != nil {
		return err
	}
	build, err := l.cf.Builds.Create(ctx, resource.NewBuildCreate(pkg.GUID))
	if err != nil {
		return err
	}
	if err := l.cf.Builds.PollStaged(ctx, build.GUID, polling); err != nil {
		return err
	}
	droplet, err := l.cf.Droplets.SingleForPackage(ctx, pkg.GUID, nil)
	if err != nil {
		return err
	}
	l.droplet = droplet.GUID
	if err := expect("the droplet's state", droplet.State, "STAGED"); err != nil {
		return err
	}
	if _, err := l.cf.Droplets.SetCurrentAssociationForApp(ctx, l.app, l.droplet); err != nil {
		return err
	}
	current, err := l.cf.Droplets.GetCurrentForApp(ctx, l.app)
	if err != nil {
		return err
	}
	return expect("the current droplet", current.GUID, l.droplet)
}

// Waits until this number of instances of an app's web process run.
func (l *life) waitForInstances(ctx context.Context, app string, count int) error {
	running := func() (string, string, error) {
		stats, err := l.cf.Processes.GetStatsForApp(ctx, app, "web")
		if err != nil {
			return "", "", err
		}
		waiting := func(stat resource.ProcessStat) bool { return stat.State != "RUNNING" }
		if len(stats.Stats) != count || slices.ContainsFunc(stats.Stats, waiting) {
			return "STARTING", "", nil
		}
		return "RUNNING", "", nil
	}
	return client.PollForStateOrTimeout(running, "RUNNING", polling)
}

func (l *life) start(ctx context.Context) error {
	app, err := l.cf.Applications.Start(ctx, l.app)
	if err != nil {
		return err
	}
	if err := expect("its state", app.State, "STARTED"); err != nil {
		return err
	}
	return l.waitForInstances(ctx, l.app, 1)
}

func (l *life) mapRoute(ctx context.Context) error {
	domain, err := l.cf.Organizations.GetDefaultDomain(ctx, l.org)
	if err != nil {
		return err
	}
	l.domain = domain.Name
	host := fmt.Sprintf("go-cfclient-%d", os.Getpid())
	create := resource.NewRouteCreate(domain.GUID, l.space)
	create.Host = &host
	route, err := l.cf.Routes.Create(ctx, create)
	if err != nil {
		return err
	}
	l.route = route.GUID
	if err := expect("its URL", route.URL, host+"."+domain.Name); err != nil {
		return err
	}
	destination := resource.NewRouteDestinationInsertOrReplace(l.app)
	destinations := []*resource.RouteDestinationInsertOrReplace{destination}
	if _, err := l.cf.Routes.InsertDestinations(ctx, l.route, destinations); err != nil {
		return err
	}
	mapped, err := l.cf.Routes.SingleForApp(ctx, l.app, nil)
	if err != nil {
		return err
	}
	return expect("the app's route", mapped.GUID, l.route)
}

func (l *life) web(ctx context.Context, app string) (*resource.Process, error) {
	options := client.NewProcessOptions()
	options.Types.EqualTo("web")
	return l.cf.Processes.SingleForApp(ctx, app, options)
}

func (l *life) scale(ctx context.Context) error {
	web, err := l.web(ctx, l.app)
	if err != nil {
		return err
	}
	scale := resource.NewProcessScale().WithInstances(3).WithMemoryInMB(128)
	scaled, err := l.cf.Processes.Scale(ctx, web.GUID, scale)
	if err != nil {
		return err
	}
	if err := expect("its instances", scaled.Instances, 3); err != nil {
		return err
	}
	return expect("its memory", scaled.MemoryInMB, 128)
}

func (l *life) showInstances(ctx context.Context) error {
	return l.waitForInstances(ctx, l.app, 3)
}

func (l *life) restartInstance(ctx context.Context) error {
	web, err := l.web(ctx, l.app)
	if err != nil {
		return err
	}
	if err := l.cf.Processes.Terminate(ctx, web.GUID, 2); err != nil {
		return err
	}
	return l.waitForInstances(ctx, l.app, 3)
}

// Reads from log-cache, which go-cfclient does not support.
func (l *life) readLog(ctx context.Context) error {
	root, err := l.cf.Root.Get(ctx)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("%s/api/v1/read/%s?envelope_types=LOG", root.Links.LogCache.Href, l.app)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := l.cf.ExecuteAuthRequest(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Envelopes struct {
			Batch []struct {
				Log struct {
					Payload []byte `json:"payload"`
				} `json:"log"`
			} `json:"batch"`
		} `json:"envelopes"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	for _, envelope := range answer.Envelopes.Batch {
		if bytes.Contains(envelope.Log.Payload, []byte("Created app with guid "+l.app)) {
			return nil
		}
	}
	return fmt.Errorf("none of %d lines reports the app's creation", len(answer.Envelopes.Batch))
}

func (l *life) cloneApp(ctx context.Context) error {
	clone, err := l.cf.Applications.Create(ctx, resource.NewAppCreate("clone", l.space))
	if err != nil {
		return err
	}
	l.clone = clone.GUID
	answer, err := l.cf.Droplets.Copy(ctx, l.droplet, l.clone)
	if err != nil {
		return err
	}
	copied, ok := answer.(*resource.Droplet)
	if !ok {
		return fmt.Errorf("the copy is a %T", answer)
	}
	state := func() (string, string, error) {
		droplet, err := l.cf.Droplets.Get(ctx, copied.GUID)
		if err != nil {
			return "", "", err
		}
		return string(droplet.State), "", nil
	}
	if err := client.PollForStateOrTimeout(state, "STAGED", polling); err != nil {
		return err
	}
	if _, err := l.cf.Droplets.SetCurrentAssociationForApp(ctx, l.clone, copied.GUID); err != nil {
		return err
	}
	web, err := l.web(ctx, l.clone)
	if err != nil {
		return err
	}
	small := resource.NewProcessScale().WithMemoryInMB(128)
	if _, err := l.cf.Processes.Scale(ctx, web.GUID, small); err != nil {
		return err
	}
	if _, err := l.cf.Applications.Start(ctx, l.clone); err != nil {
		return err
	}
	return l.waitForInstances(ctx, l.clone, 1)
}

func (l *life) deploy(ctx context.Context) error {
	create := resource.NewDeploymentCreate(l.clone)
	deployment, err := l.cf.Deployments.Create(ctx, create)
	if err != nil {
		return err
	}
	status := func() (string, string, error) {
		deployment, err := l.cf.Deployments.Get(ctx, deployment.GUID)
		if err != nil {
			return "", "", err
		}
		return deployment.Status.Reason, "", nil
	}
	if err := client.PollForStateOrTimeout(status, "DEPLOYED", polling); err != nil {
		return err
	}
	return l.waitForInstances(ctx, l.clone, 1)
}

func (l *life) runTask(ctx context.Context) error {
	create := resource.NewTaskCreateWithCommand("rake db:migrate")
	task, err := l.cf.Tasks.Create(ctx, l.clone, create)
	if err != nil {
		return err
	}
	if err := expect("its number", task.SequenceID, 1); err != nil {
		return err
	}
	state := func() (string, string, error) {
		task, err := l.cf.Tasks.Get(ctx, task.GUID)
		if err != nil {
			return "", "", err
		}
		return task.State, "", nil
	}
	return client.PollForStateOrTimeout(state, "SUCCEEDED", polling)
}

func (l *life) bindSecurityGroup(ctx context.Context) error {
	ports := "443"
	rule := resource.NewSecurityGroupRuleTCP("10.0.0.0/24", true)
	rule.Ports = &ports
	group, err := l.cf.SecurityGroups.Create(ctx, &resource.SecurityGroupCreate{
		Name:  fmt.Sprintf("go-cfclient-%d", os.Getpid()),
		Rules: []*resource.SecurityGroupRule{rule},
	})
	if err != nil {
		return err
	}
	l.group = group.GUID
	if err := expect("its rule's ports", *group.Rules[0].Ports, ports); err != nil {
		return err
	}
	if _, err := l.cf.SecurityGroups.BindRunningSecurityGroup(ctx, l.group, []string{l.space}); err != nil {
		return err
	}
	bound, err := l.cf.SecurityGroups.ListRunningForSpaceAll(ctx, l.space, nil)
	if err != nil {
		return err
	}
	isOurs := func(group *resource.SecurityGroup) bool { return group.GUID == l.group }
	if !slices.ContainsFunc(bound, isOurs) {
		return fmt.Errorf("it is not among the %d of the space", len(bound))
	}
	return l.cf.SecurityGroups.UnBindRunningSecurityGroup(ctx, l.group, l.space)
}

func (l *life) exceedQuota(ctx context.Context) error {
	web, err := l.web(ctx, l.app)
	if err != nil {
		return err
	}
	_, err = l.cf.Processes.Scale(ctx, web.GUID, resource.NewProcessScale().WithInstances(100))
	if !resource.IsUnprocessableEntityError(err) {
		return fmt.Errorf("100 instances: %v", err)
	}
	web, err = l.web(ctx, l.app)
	if err != nil {
		return err
	}
	return expect("its instances", web.Instances, 3)
}

func (l *life) applyManifest(ctx context.Context) error {
	manifest := fmt.Sprintf(`applications:
- name: clone
  instances: 2
  env:
    FROM: manifest
  routes:
  - route: go-cfclient-%d-clone.%s
`, os.Getpid(), l.domain)
	job, err := l.cf.Manifests.ApplyManifest(ctx, l.space, manifest)
	if err != nil {
		return err
	}
	if err := l.cf.Jobs.PollComplete(ctx, job, polling); err != nil {
		return err
	}
	variables, err := l.cf.Applications.GetEnvironmentVariables(ctx, l.clone)
	if err != nil {
		return err
	}
	if variables["FROM"] == nil {
		return fmt.Errorf("the app's environment is %v", variables)
	}
	routes, err := l.cf.Routes.ListForAppAll(ctx, l.clone, nil)
	if err != nil {
		return err
	}
	if err := expect("the number of its routes", len(routes), 1); err != nil {
		return err
	}
	return l.waitForInstances(ctx, l.clone, 2)
}

func (l *life) listInPages(ctx context.Context) error {
	options := client.NewAppListOptions()
	options.PerPage = 1
	options.SpaceGUIDs.EqualTo(l.space)
	apps, pager, err := l.cf.Applications.List(ctx, options)
	if err != nil {
		return err
	}
	if err := expect("the number of pages", pager.TotalPages, 2); err != nil {
		return err
	}
	if err := expect("the first app", apps[0].Name, "app"); err != nil {
		return err
	}
	pager.NextPage(options)
	apps, _, err = l.cf.Applications.List(ctx, options)
	if err != nil {
		return err
	}
	return expect("the second app", apps[0].Name, "clone")
}

func (l *life) deleteApp(ctx context.Context) error {
	if _, err := l.cf.Applications.Stop(ctx, l.app); err != nil {
		return err
	}
	job, err := l.cf.Applications.Delete(ctx, l.app)
	if err != nil {
		return err
	}
	if err := l.cf.Jobs.PollComplete(ctx, job, polling); err != nil {
		return err
	}
	if _, err := l.cf.Applications.Get(ctx, l.app); !resource.IsResourceNotFoundError(err) {
		return fmt.Errorf("it still exists: %v", err)
	}
	destinations, err := l.cf.Routes.GetDestinations(ctx, l.route)
	if err != nil {
		return err
	}
	return expect("the number of its route's destinations", len(destinations.Destinations), 0)
}

func (l *life) deleteOrg(ctx context.Context) error {
	for _, deletion := range []struct {
		guid   string
		delete func(context.Context, string) (string, error)
	}{
		{l.org, l.cf.Organizations.Delete},
		{l.quota, l.cf.OrganizationQuotas.Delete},
		{l.group, l.cf.SecurityGroups.Delete},
	} {
		job, err := deletion.delete(ctx, deletion.guid)
		if err != nil {
			return err
		}
		if err := l.cf.Jobs.PollComplete(ctx, job, polling); err != nil {
			return err
		}
	}
	for _, app := range []string{l.app, l.clone} {
		if _, err := l.cf.Applications.Get(ctx, app); !resource.IsResourceNotFoundError(err) {
			return fmt.Errorf("an app still exists: %v", err)
		}
	}
	options := client.NewSpaceListOptions()
	options.OrganizationGUIDs.EqualTo(l.org)
	spaces, err := l.cf.Spaces.ListAll(ctx, options)
	if err != nil {
		return err
	}
	return expect("the number of its spaces", len(spaces), 0)
}
