import { type DoorRoute } from "../door-route.ts";

/** What a browser is shown where a server has its page. Clients take the answer 200 for the news that the server is there. */
function pageWith(where: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Genga</title>
<p>This is Genga. Here it answers as one ComfyUI server does, for programs that know the protocol of such a server.</p>
<p>${where}</p>
</html>
`;
}

const unknown =
  "Its page is at the address of its own API, on the port that PORT names (8328 unless it was set). " +
  "With PUBLIC_URL set, a link to it stands here.";

export const getWelcome: DoorRoute = {
  id: "getWelcome",
  method: "GET",
  path: "/",
  isPolled: true,
  handle: ({ request, response }) => {
    const address = request.app.get("address of the page") as string | undefined;
    response.type("html").send(pageWith(address === undefined ? unknown : linkTo(address)));
  },
};

/** @param address a URL of the configuration, which may have quotes in its path */
function linkTo(address: string): string {
  const safe = address.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `Its page is at <a href="${safe}/">${safe}</a>.`;
}
