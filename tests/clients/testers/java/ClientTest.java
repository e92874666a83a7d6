// A Cloud Foundry client, tested against mock-capi.

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ClientTest {
    static final HttpClient HTTP = HttpClient.newHttpClient();
    static Process mock;
    static String api;
    static String token = "";

    @BeforeAll
    static void start() throws Exception {
        String program = System.getenv().getOrDefault("MOCK_CAPI_BIN", "mock-capi");
        String seed = System.getenv().getOrDefault("SEED_FILE", "seed.yml");
        mock = new ProcessBuilder(program, "--listen", "127.0.0.1:0", "--seed-file", seed)
            .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String line = new BufferedReader(new InputStreamReader(mock.getInputStream())).readLine();
        api = line.substring(line.lastIndexOf(' ') + 1);
        HttpRequest login = HttpRequest.newBuilder(URI.create(api + "/uaa/oauth/token"))
            .header("Authorization", "Basic Y2Y6")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(BodyPublishers.ofString("grant_type=password&username=admin&password=admin"))
            .build();
        String answer = HTTP.send(login, BodyHandlers.ofString()).body();
        token = answer.replaceFirst("(?s).*\"access_token\":\"([^\"]*)\".*", "$1");
    }

    @AfterAll
    static void stop() throws Exception {
        mock.destroy();
        mock.waitFor();
    }

    @BeforeEach
    void reset() throws Exception {
        send("POST", "/_mock/reset", "");
    }

    static HttpResponse<String> send(String method, String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(api + path))
            .header("Authorization", "bearer " + token)
            .timeout(Duration.ofSeconds(10))
            .method(method, BodyPublishers.ofString(body)).build();
        return HTTP.send(request, BodyHandlers.ofString());
    }

    static int get(String path) throws Exception {
        return send("GET", path, "").statusCode();
    }

    @Test
    void theAppOfTheSeedFileRuns() throws Exception {
        String apps = send("GET", "/v3/apps?names=web", "").body();
        assertTrue(apps.contains("\"state\":\"STARTED\""), apps);
    }

    @Test
    void aStubAnswersOnce() throws Exception {
        send("PUT", "/_mock/stubs", "[{\"path\": \"/v3/apps\", \"status\": 502, \"body\": {}, \"times\": 1}]");
        assertEquals(502, get("/v3/apps"));
        assertEquals(200, get("/v3/apps"));
    }

    @Test
    void aFaultRefusesOneRequest() throws Exception {
        send("PUT", "/_mock/faults",
            "[{\"fault\": \"answer\", \"method\": \"GET\", \"path\": \"/v3/apps\", \"status\": 503, \"times\": 1}]");
        assertEquals(503, get("/v3/apps"));
        assertEquals(200, get("/v3/apps"));
    }

    @Test
    void theAppsWereListedExactlyOnce() throws Exception {
        get("/v3/apps?names=web");
        HttpResponse<String> verified = send("POST", "/_mock/verify",
            "{\"request\": {\"method\": \"GET\", \"path\": \"/v3/apps\"}, \"count\": 1}");
        assertEquals(200, verified.statusCode(), verified.body());
    }
}
