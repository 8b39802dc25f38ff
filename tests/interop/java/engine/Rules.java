/* The table of rules, tests/interop/engine/rules.txt. */
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

final class Rules {
    static final class Rule {
        final String name;
        final List<String> steps = new ArrayList<>();
        private final String place;

        Rule(String head) {
            int space = head.indexOf(' ');
            name = space < 0 ? head : head.substring(0, space);
            place = space < 0 ? "" : head.substring(space + 2, head.length() - 1);
        }

        boolean isFor(String where) {
            return place.isEmpty() || place.equals(where);
        }
    }

    private Rules() {}

    static List<Rule> read(Path path) throws IOException {
        List<Rule> rules = new ArrayList<>();
        for (String line : Files.readAllLines(path)) {
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            String step = line.strip();
            if (!line.startsWith(" ")) {
                rules.add(new Rule(line));
            } else if (step.startsWith(">") || step.startsWith("<")) {
                rules.get(rules.size() - 1).steps.add(step);
            }
        }
        return rules;
    }
}
