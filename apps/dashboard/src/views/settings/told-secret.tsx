import { Button, Code, CopyButton, Group, Stack, Text } from "@mantine/core";
import { modals } from "@mantine/modals";

/**
 * Shows a key or a secret, which the API tells only once, above everything else: with the first key of an installation
 * the page itself needs a key, and asks to sign in. It is kept in no storage of the browser.
 */
export function tellSecret(title: string, secret: string): void {
  const id = modals.open({
    ...{ title, withCloseButton: false, closeOnClickOutside: false, closeOnEscape: false },
    children: (
      <Stack gap="sm" align="flex-start">
        <Text size="sm">Copy it now: it is not shown again.</Text>
        <Code block style={{ overflowWrap: "anywhere", whiteSpace: "pre-wrap", maxWidth: "100%" }}>
          {secret}
        </Code>
        <Group>
          <CopyButton value={secret}>
            {({ copied, copy }) => (
              <Button size="xs" onClick={copy} miw={90} data-autofocus>
                {copied ? "Copied" : "Copy"}
              </Button>
            )}
          </CopyButton>
          <Button
            size="xs"
            variant="default"
            onClick={() => {
              modals.close(id);
            }}
          >
            I have it
          </Button>
        </Group>
      </Stack>
    ),
  });
}
