import { type DoorRoute } from "../door-route.ts";

/** What a browser is shown where a server has its page. Clients take the answer 200 for the news that the server is there. */
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Genga</title>
<p>This is Genga. Here it answers as one ComfyUI server does, for programs that know the protocol of such a server.</p>
<p>Its page is at the address of its own API, on the port that PORT names (8328 unless it was set).</p>
</html>
`;

export const getWelcome: DoorRoute = {
  id: "getWelcome",
  method: "GET",
  path: "/",
  isPolled: true,
  handle: ({ response }) => {
    response.type("html").send(page);
  },
};
