// Runs an app through its whole lifecycle with cf-java-client, on the Cloud Controller
// CF_API, as CF_USERNAME with CF_PASSWORD. Prints a line for each step that succeeds. The
// first step that fails ends the program with code 1.

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import org.cloudfoundry.client.CloudFoundryClient;
import org.cloudfoundry.client.v3.BuildpackData;
import org.cloudfoundry.client.v3.ClientV3Exception;
import org.cloudfoundry.client.v3.Lifecycle;
import org.cloudfoundry.client.v3.LifecycleType;
import org.cloudfoundry.client.v3.Relationship;
import org.cloudfoundry.client.v3.ToOneRelationship;
import org.cloudfoundry.client.v3.applications.*;
import org.cloudfoundry.client.v3.builds.*;
import org.cloudfoundry.client.v3.domains.*;
import org.cloudfoundry.client.v3.droplets.*;
import org.cloudfoundry.client.v3.jobs.*;
import org.cloudfoundry.client.v3.organizations.*;
import org.cloudfoundry.client.v3.packages.*;
import org.cloudfoundry.client.v3.processes.*;
import org.cloudfoundry.client.v3.roles.*;
import org.cloudfoundry.client.v3.routes.*;
import org.cloudfoundry.client.v3.routes.Application;
import org.cloudfoundry.client.v3.spaces.*;
import org.cloudfoundry.client.v3.tasks.*;
import org.cloudfoundry.logcache.v1.ReadRequest;
import org.cloudfoundry.reactor.ConnectionContext;
import org.cloudfoundry.reactor.DefaultConnectionContext;
import org.cloudfoundry.reactor.client.ReactorCloudFoundryClient;
import org.cloudfoundry.reactor.logcache.v1.ReactorLogCacheClient;
import org.cloudfoundry.reactor.tokenprovider.PasswordGrantTokenProvider;

import reactor.core.publisher.Mono;

final class Life {
    private static final Duration DEADLINE = Duration.ofSeconds(30);

    private final ReactorLogCacheClient logCache;
    private final CloudFoundryClient cf;

    private String org;
    private String space;
    private String app;
    private String droplet;
    private String clone;

    private Life(URI api, String user, String password) {
        ConnectionContext connection = DefaultConnectionContext.builder()
                .apiHost(api.getHost())
                .port(api.getPort())
                .secure(false)
                .build();
        PasswordGrantTokenProvider login = PasswordGrantTokenProvider.builder()
                .username(user)
                .password(password)
                .build();
        cf = ReactorCloudFoundryClient.builder()
                .connectionContext(connection).tokenProvider(login).build();
        logCache = ReactorLogCacheClient.builder()
                .connectionContext(connection).tokenProvider(login).build();
    }

    public static void main(String[] arguments) {
        Life life = new Life(URI.create(variable("CF_API")),
                variable("CF_USERNAME"), variable("CF_PASSWORD"));
        life.live();
        System.exit(0);
    }

    private static String variable(String name) {
        return Objects.requireNonNull(System.getenv(name), name + " is not set");
    }

    private void live() {
        step("log in and create an organization", this::createOrganization);
        step("refuse another organization with the same name", this::refuseTheSameName);
        step("create a space", this::createSpace);
        step("assign a role in it", this::assignRole);
        step("create an app", this::createApp);
        step("set its environment", this::setEnvironment);
        step("upload and stage its bits", this::stage);
        step("start it", this::start);
        step("scale it", this::scale);
        step("map a route", this::mapRoute);
        step("read its log", this::readLog);
        step("clone it with its droplet", this::cloneIt);
        step("run a task", this::runTask);
        step("list apps in pages", this::listInPages);
        step("stop and delete it", this::delete);
        step("delete the organization", this::deleteOrganization);
    }

    /** A step, which throws if a result is wrong. */
    private interface Step {
        void run() throws IOException;
    }

    private static void step(String name, Step step) {
        try {
            step.run();
            System.out.println("ok  cf-java-client  " + name);
        } catch (Exception | AssertionError e) {
            System.out.println("FAIL  cf-java-client  " + name + ": " + e);
            e.printStackTrace();
            System.exit(1);
        }
    }

    private static <T> T get(Mono<T> answer) {
        return answer.block(DEADLINE);
    }

    private static void expect(Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError("expected " + expected + ", not " + actual);
        }
    }

    /** Polls until there is a result. */
    private static <T> void await(T awaited, Supplier<T> look) {
        long end = System.nanoTime() + DEADLINE.toNanos();
        T seen = look.get();
        while (!Objects.equals(awaited, seen)) {
            if (System.nanoTime() > end) {
                throw new AssertionError("still " + seen + ", not " + awaited);
            }
            pause();
            seen = look.get();
        }
    }

    private static void pause() {
        try {
            Thread.sleep(50);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static ToOneRelationship to(String guid) {
        Relationship data = Relationship.builder().id(guid).build();
        return ToOneRelationship.builder().data(data).build();
    }

    private void createOrganization() {
        org = get(cf.organizationsV3().create(
                CreateOrganizationRequest.builder().name("java").build())).getId();
        expect("java", get(cf.organizationsV3().get(
                GetOrganizationRequest.builder().organizationId(org).build())).getName());
    }

    private void refuseTheSameName() {
        try {
            get(cf.organizationsV3().create(
                    CreateOrganizationRequest.builder().name("java").build()));
        } catch (ClientV3Exception e) {
            expect(422, e.getStatusCode());
            expect("CF-UnprocessableEntity", e.getErrors().get(0).getTitle());
            return;
        }
        throw new AssertionError("the name was accepted twice");
    }

    private void createSpace() {
        space = get(cf.spacesV3().create(CreateSpaceRequest.builder()
                .name("space")
                .relationships(SpaceRelationships.builder().organization(to(org)).build())
                .build())).getId();
        ListSpacesResponse spaces = get(cf.spacesV3().list(
                ListSpacesRequest.builder().organizationId(org).build()));
        expect(1, spaces.getPagination().getTotalResults());
    }

    private void assignRole() {
        CreateRoleResponse role = get(cf.rolesV3().create(CreateRoleRequest.builder()
                .type(RoleType.ORGANIZATION_USER)
                .relationships(RoleRelationships.builder()
                        .user(ToOneRelationship.builder()
                                .data(Relationship.builder().id("java-user").build()).build())
                        .organization(to(org))
                        .build())
                .build()));
        expect(RoleType.ORGANIZATION_USER, role.getType());
    }

    private String newApp(String name) {
        return get(cf.applicationsV3().create(CreateApplicationRequest.builder()
                .name(name)
                .relationships(ApplicationRelationships.builder().space(to(space)).build())
                .build())).getId();
    }

    private void createApp() {
        app = newApp("app");
        expect(ApplicationState.STOPPED, state(app));
    }

    private ApplicationState state(String guid) {
        return get(cf.applicationsV3().get(
                GetApplicationRequest.builder().applicationId(guid).build())).getState();
    }

    private void setEnvironment() {
        get(cf.applicationsV3().updateEnvironmentVariables(
                UpdateApplicationEnvironmentVariablesRequest.builder()
                        .applicationId(app).var("GREETING", "hello").build()));
        Map<String, String> variables = get(cf.applicationsV3().getEnvironmentVariables(
                GetApplicationEnvironmentVariablesRequest.builder()
                        .applicationId(app).build())).getVars();
        expect(Map.of("GREETING", "hello"), variables);
    }

    private void stage() throws IOException {
        String bits = get(cf.packages().create(CreatePackageRequest.builder()
                .type(PackageType.BITS)
                .relationships(PackageRelationships.builder().application(to(app)).build())
                .build())).getId();
        Path archive = Files.createTempFile("app", ".zip");
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(archive))) {
            zip.putNextEntry(new ZipEntry("index.html"));
            zip.write("<h1>hello</h1>".getBytes());
        }
        get(cf.packages().upload(
                UploadPackageRequest.builder().packageId(bits).bits(archive).build()));
        Files.delete(archive);
        await(PackageState.READY, () -> get(cf.packages().get(
                GetPackageRequest.builder().packageId(bits).build())).getState());

        String build = get(cf.builds().create(CreateBuildRequest.builder()
                .getPackage(Relationship.builder().id(bits).build())
                .lifecycle(Lifecycle.builder()
                        .type(LifecycleType.BUILDPACK)
                        .data(BuildpackData.builder().buildpack("staticfile_buildpack").build())
                        .build())
                .build())).getId();
        await(BuildState.STAGED, () -> get(cf.builds().get(
                GetBuildRequest.builder().buildId(build).build())).getState());
        droplet = get(cf.builds().get(GetBuildRequest.builder().buildId(build).build()))
                .getDroplet().getId();
        setDroplet(app, droplet);
    }

    private void setDroplet(String guid, String droplet) {
        get(cf.applicationsV3().setCurrentDroplet(SetApplicationCurrentDropletRequest.builder()
                .applicationId(guid)
                .data(Relationship.builder().id(droplet).build())
                .build()));
        expect(droplet, get(cf.applicationsV3().getCurrentDroplet(
                GetApplicationCurrentDropletRequest.builder()
                        .applicationId(guid).build())).getId());
    }

    private void start() {
        startAndAwait(app);
    }

    private void startAndAwait(String guid) {
        get(cf.applicationsV3().start(
                StartApplicationRequest.builder().applicationId(guid).build()));
        expect(ApplicationState.STARTED, state(guid));
        await(List.of(ProcessState.RUNNING), () -> instances(guid));
    }

    private List<ProcessState> instances(String guid) {
        return get(cf.applicationsV3().getProcessStatistics(
                GetApplicationProcessStatisticsRequest.builder()
                        .applicationId(guid).type("web").build()))
                .getResources().stream().map(ProcessStatistics::getState).toList();
    }

    private void scale() {
        ScaleApplicationResponse scaled = get(cf.applicationsV3().scale(
                ScaleApplicationRequest.builder()
                        .applicationId(app).type("web").instances(3).memoryInMb(64).build()));
        expect(3, scaled.getInstances());
        expect(64, scaled.getMemoryInMb());
        ProcessState running = ProcessState.RUNNING;
        await(List.of(running, running, running), () -> instances(app));
    }

    private void mapRoute() {
        String domain = get(cf.organizationsV3().getDefaultDomain(
                GetOrganizationDefaultDomainRequest.builder().organizationId(org).build())).getId();
        String route = get(cf.routesV3().create(CreateRouteRequest.builder()
                .host("java")
                .relationships(RouteRelationships.builder()
                        .domain(to(domain)).space(to(space)).build())
                .build())).getId();
        get(cf.routesV3().insertDestinations(InsertRouteDestinationsRequest.builder()
                .routeId(route)
                .destination(Destination.builder()
                        .application(Application.builder().applicationId(app).build())
                        .build())
                .build()));
        ListApplicationRoutesResponse routes = get(cf.applicationsV3().listRoutes(
                ListApplicationRoutesRequest.builder().applicationId(app).build()));
        expect(1, routes.getResources().size());
        expect("java", routes.getResources().get(0).getHost());
    }

    private void readLog() {
        boolean logged = get(logCache.read(ReadRequest.builder().sourceId(app).build()))
                .getEnvelopes().getBatch().stream()
                .map(envelope -> envelope.getLog().getPayloadAsText())
                .anyMatch(line -> line.contains("Starting app with guid " + app));
        expect(true, logged);
    }

    private void cloneIt() {
        clone = newApp("clone");
        String copy = get(cf.droplets().copy(CopyDropletRequest.builder()
                .sourceDropletId(droplet)
                .relationships(DropletRelationships.builder().application(to(clone)).build())
                .build())).getId();
        await(DropletState.STAGED, () -> get(cf.droplets().get(
                GetDropletRequest.builder().dropletId(copy).build())).getState());
        setDroplet(clone, copy);
        startAndAwait(clone);
    }

    private void runTask() {
        String task = get(cf.tasks().create(CreateTaskRequest.builder()
                .applicationId(app).command("true").memoryInMb(64).build())).getId();
        await(TaskState.SUCCEEDED, () -> get(cf.tasks().get(
                GetTaskRequest.builder().taskId(task).build())).getState());
    }

    private void listInPages() {
        ListApplicationsResponse page = get(cf.applicationsV3().list(
                ListApplicationsRequest.builder().spaceId(space).perPage(1).page(2).build()));
        expect(2, page.getPagination().getTotalPages());
        expect("clone", page.getResources().get(0).getName());
    }

    private void delete() {
        get(cf.applicationsV3().stop(StopApplicationRequest.builder().applicationId(app).build()));
        expect(ApplicationState.STOPPED, state(app));
        awaitJob(get(cf.applicationsV3().delete(
                DeleteApplicationRequest.builder().applicationId(app).build())));
        try {
            state(app);
        } catch (ClientV3Exception e) {
            expect(404, e.getStatusCode());
            return;
        }
        throw new AssertionError("the app still exists");
    }

    private void awaitJob(String job) {
        await(JobState.COMPLETE, () -> get(cf.jobsV3().get(
                GetJobRequest.builder().jobId(job).build())).getState());
    }

    private void deleteOrganization() {
        awaitJob(get(cf.organizationsV3().delete(
                DeleteOrganizationRequest.builder().organizationId(org).build())));
        expect(0, get(cf.organizationsV3().list(
                ListOrganizationsRequest.builder().name("java").build()))
                .getPagination().getTotalResults());
    }
}
