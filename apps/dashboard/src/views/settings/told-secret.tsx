import { Alert, Button, Code, CopyButton, Group, Stack, Text } from "@mantine/core";
import { type ReactNode } from "react";

interface ToldSecretProps {
  readonly title: string;
  readonly secret: string;
  readonly onClose: () => void;
}

/** A key or a secret, which the API tells only once. It is kept in no storage of the browser. */
export function ToldSecret({ title, secret, onClose }: ToldSecretProps): ReactNode {
  return (
    <Alert color="teal" title={title} role="status">
      <Stack gap="sm" align="flex-start">
        <Text size="sm">Copy it now: it is not shown again.</Text>
        <Code block style={{ overflowWrap: "anywhere", whiteSpace: "pre-wrap", maxWidth: "100%" }}>
          {secret}
        </Code>
        <Group>
          <CopyButton value={secret}>
            {({ copied, copy }) => (
              <Button size="xs" onClick={copy} miw={90}>
                {copied ? "Copied" : "Copy"}
              </Button>
            )}
          </CopyButton>
          <Button size="xs" variant="default" onClick={onClose}>
            I have it
          </Button>
        </Group>
      </Stack>
    </Alert>
  );
}
