import { Stack, Text, Title } from "@mantine/core";
import { type ReactNode } from "react";
import { useSession } from "../../connection/session.tsx";

export function Settings(): ReactNode {
  const { tenant, role, keyName } = useSession();
  return (
    <Stack>
      <Title order={2}>Settings</Title>
      <Text>
        {tenant}: {keyName}, may {role}
      </Text>
    </Stack>
  );
}
