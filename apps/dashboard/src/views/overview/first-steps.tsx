import { Button, Card, Code, Group, List, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { baseUrl } from "../../connection/genga.ts";
import { serversQuery } from "../../connection/queries.ts";
import { useMay } from "../../connection/session.tsx";

const example = `curl ${baseUrl}/api/anime/generate -H 'content-type: application/json' \\
  -d '{"type": "image", "prompt": "a lighthouse above a sea of clouds"}'`;

/** For whoever opens an installation in which nothing was ever submitted. */
export function FirstSteps(): ReactNode {
  const may = useMay();
  const { data } = useQuery(serversQuery);
  return (
    <Card withBorder padding="lg">
      <Stack gap="sm">
        <Title order={3} size="h4">
          Nothing was submitted yet
        </Title>
        <List type="ordered" spacing="xs" withPadding={false}>
          {data?.servers.length === 0 && (
            <List.Item>
              Name your ComfyUI servers in <Code>COMFYUI_URLS</Code> and start a worker.
            </List.Item>
          )}
          <List.Item>
            {may("submit")
              ? "Make a picture with the form, or by a program:"
              : "Submit a job with a key of the role submit:"}
            <Code block mt="xs" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
              {example}
            </Code>
          </List.Item>
          <List.Item>Watch it move here, and open it to see its picture.</List.Item>
        </List>
        <Group>
          {may("submit") && (
            <Button renderRoot={(props) => <Link to="/create" {...props} />}>Create a picture</Button>
          )}
          <Button component="a" variant="default" href={`${baseUrl}/docs`}>
            Read about the API
          </Button>
        </Group>
        <Text size="sm" c="dimmed">
          Where keys are needed, programs send theirs as <Code>Authorization: Bearer …</Code>.
        </Text>
      </Stack>
    </Card>
  );
}
