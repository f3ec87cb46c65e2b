"""What GitHub reads, which no one runs here: the workflow and the forms, linted, and held to what
they name."""

import os
import re
import sys
import unittest

from scratch import ROOT, TRIPLES, lint, loaded, need, run

WORKFLOW = ROOT / ".github/workflows/hbb.yml"


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


class Workflow(unittest.TestCase):
    def test_it_is_clean(self):
        self.assertEqual(lint(ROOT / ".github"), "")
        self.assertEqual(lint(ROOT / "board/debian/nfpm.yaml"), "")

    def test_forms_for_issues_ask_for_what_is_needed_and_no_id_twice(self):
        forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
        self.assertGreaterEqual(len(forms), 2)
        for path in forms:
            form = loaded(path)
            self.assertTrue(form["name"] and form["description"], path)
            asked = [field for field in form["body"] if field["type"] != "markdown"]
            ids = [field["id"] for field in asked]
            self.assertEqual(len(ids), len(set(ids)), path)
            self.assertTrue(any(field.get("validations", {}).get("required") for field in asked))
        bug = (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text()
        for needed in ("hbb --version", "hbb ctl status", "SECURITY.md"):
            self.assertIn(needed, bug)

    def test_a_job_may_write_only_where_it_publishes(self):
        workflow = loaded(WORKFLOW)
        self.assertEqual(workflow["permissions"], {"contents": "read"})
        allowed = {name: job["permissions"] for name, job in workflow["jobs"].items()
                   if "permissions" in job}
        self.assertEqual(allowed, {"release": {"contents": "write"}})
        self.assertIn("refs/tags/v", workflow["jobs"]["release"]["if"])
        for step in steps(workflow):
            if step.get("uses", "").startswith("actions/checkout@"):
                self.assertIs(step["with"]["persist-credentials"], False)

    def test_actions_are_pinned_and_are_githubs_own(self):
        text = WORKFLOW.read_text()
        uses = re.findall(r"uses: (\S+)(.*)", text)
        self.assertGreaterEqual(len(uses), 4)
        for action, comment in uses:
            self.assertRegex(action, r"^actions/[a-z-]+@[0-9a-f]{40}$")
            self.assertRegex(comment, r"^  # v\d+\.\d+\.\d+$")

    def test_no_script_holds_what_a_stranger_can_name(self):
        for step in steps(loaded(WORKFLOW)):
            self.assertNotIn("${{", step.get("run", ""))

    def test_scripts_it_calls_are_there_and_its_shell_is_clean(self):
        shell = need("shellcheck", "shellcheck")
        for step in steps(loaded(WORKFLOW)):
            if "run" not in step:
                continue
            # GitHub runs them by bash -e.
            script = f"set -e\n{step['run']}\n"
            said = run(shell, "-s", "bash", "-", input=script, check=False)
            self.assertEqual(said, "")
            for path in re.findall(r"(?:\.ci|cross|size-report)/[a-z]+", step["run"]):
                self.assertTrue(os.access(ROOT / path, os.X_OK), path)

    def test_every_triple_is_built_twice(self):
        matrix = loaded(WORKFLOW)["jobs"]["same-bytes"]["strategy"]["matrix"]
        self.assertEqual(sorted(matrix["triple"]), sorted(TRIPLES))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
