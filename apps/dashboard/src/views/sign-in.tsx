import { Alert, Anchor, Button, Container, Paper, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useEffect, useState, type ReactNode } from "react";
import { messageOf } from "../connection/api-errors.ts";
import { baseUrl } from "../connection/genga.ts";
import { useSessionQuery, useSignIn } from "../connection/session.tsx";

const route = getRouteApi("/sign-in");

/** An API key becomes a session; the browser keeps the session's cookie, which no script can read, and not the key. */
export function SignIn(): ReactNode {
  const { next } = route.useSearch();
  const session = useSessionQuery();
  const signIn = useSignIn();
  const [apiKey, setApiKey] = useState("");
  if (session.data !== null && session.data !== undefined) return <Onward to={next ?? "/"} />;
  return (
    <Container size={420} py="xl">
      <Paper withBorder p="lg" component="main">
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (apiKey.trim() !== "") signIn.mutate(apiKey.trim());
          }}
        >
          <Stack>
            <Title order={1} size="h3">
              Genga
            </Title>
            {!window.isSecureContext && (
              <Alert color="yellow">
                Signing in needs HTTPS, except on the machine of the API itself: this browser does not keep a
                session over plain HTTP.
              </Alert>
            )}
            <PasswordInput
              label="API key"
              description="An operator makes keys with npm run keys, or in the settings."
              autoComplete="off"
              autoFocus
              required
              value={apiKey}
              onChange={(event) => {
                setApiKey(event.currentTarget.value);
              }}
            />
            {signIn.isError && (
              <Alert color="red" role="alert">
                {messageOf(signIn.error).detail || messageOf(signIn.error).title}
              </Alert>
            )}
            <Button type="submit" loading={signIn.isPending}>
              Sign in
            </Button>
            <Text size="sm" c="dimmed">
              The key is not kept in the browser. <Anchor href={`${baseUrl}/docs`}>The API</Anchor>
            </Text>
          </Stack>
        </form>
      </Paper>
    </Container>
  );
}

/** Bull Board and the like are pages of their own. */
function Onward({ to }: { to: string }): ReactNode {
  const navigate = useNavigate();
  useEffect(() => {
    if (/^\/(admin|docs|metrics)/.test(to)) window.location.replace(`${baseUrl}${to}`);
    else void navigate({ href: to, replace: true });
  }, [navigate, to]);
  return null;
}
