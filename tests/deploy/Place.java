import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;

/**
 * Places orders with the HTTP client of Java and its defaults, which offer HTTP/2 with each request:
 * {@code java Place.java URL COUNT CONCURRENCY}. Prints the failures, and exits with 1 if there are
 * any.
 */
class Place {
    private static final String BODY =
        "{\"origin\":[\"50.456399\",\"12.707580\"],\"destination\":[\"59.436487\",\"24.747193\"]}";

    public static void main(String[] arguments) {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/orders"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(BODY))
            .build();
        int count = Integer.parseInt(arguments[1]);
        Semaphore concurrency = new Semaphore(Integer.parseInt(arguments[2]));
        var failures = new ArrayList<CompletableFuture<String>>();
        for (int i = 0; i < count; i++) {
            concurrency.acquireUninterruptibly();
            failures.add(client.sendAsync(request, BodyHandlers.ofString()).handle((response, error) -> {
                concurrency.release();
                if (error != null) {
                    return error.toString();
                }
                return response.statusCode() == 200 ? null : response.statusCode() + " " + response.body();
            }));
        }
        long failed = failures.stream().map(CompletableFuture::join).filter(it -> it != null)
            .peek(System.out::println).count();
        System.exit(failed == 0 ? 0 : 1);
    }
}
