//! The problems that an experiment can have: one table of their names, each with what it is, why it is refused, and an
//! example of it beside what would be right.
//!
//! Only this file can make one, and a diagnostic is of one: `ablate explain NAME` knows every name that is ever printed. The
//! examples are true: a test reads each of them.

/// A kind of mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    // Private, so that nobody else makes one.
    name: &'static str,
    /// What it is, in a sentence.
    pub what: &'static str,
    /// Why it is not let pass.
    pub why: &'static str,
    /// Lines of an experiment file that have it, or arguments of the command line that begin with `--set `.
    pub wrong: &'static str,
    /// The same without it.
    pub right: &'static str,
}

impl Problem {
    /// The name that people look it up by.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// All problems, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Problem> {
    ALL.iter().copied()
}

/// The problem of this name.
pub fn find(name: &str) -> Option<&'static Problem> {
    all().find(|problem| problem.name == name)
}

macro_rules! problems {
    ($($item:ident = $name:literal: $what:literal, $why:literal, $wrong:literal => $right:literal;)*) => {
        $(
            #[doc = $what]
            pub static $item: Problem = Problem { name: $name, what: $what, why: $why, wrong: $wrong, right: $right };
        )*
        static ALL: &[&Problem] = &[$(&$item,)*];
    };
}

problems! {
    // The text.
    NOT_TOML = "not-toml":
        "The file is not TOML.",
        "Nothing that a broken file seems to say is certain.",
        "train.steps =" => "train.steps = 100";
    UNKNOWN_KEY = "unknown-key":
        "A key that there is not.",
        "A setting that is read by nobody would be believed to count. `ablate keys` lists those that there are.",
        "objective.mask_ration = 0.3" => "objective.mask_ratio = 0.3";
    UNKNOWN_TABLE = "unknown-table":
        "A table that there is not.",
        "What stands in it would be read by nobody.",
        "[optimiser]\nlr = 1e-3" => "[optimizer]\nlr = 1e-3";
    WRONG_SHAPE = "wrong-shape":
        "A value stands where a table or a list belongs.",
        "What it would mean is a guess.",
        "[sweep.grid]\n\"objective.mask_ratio\" = 0.3" => "[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.3]";
    WRONG_VALUE = "wrong-value":
        "A value that its key does not take.",
        "A sweep must not fail at its 17th run for a reason that the file showed at the start.",
        "objective.mask_ratio = 15" => "objective.mask_ratio = 0.15";
    NOT_SUPPORTED_YET = "not-supported-yet":
        "A choice that is known by name, and not there yet.",
        "Another one in its place would be another experiment.",
        "optimizer.kind = \"lion\"" => "optimizer.kind = \"lamb\"";
    GIVEN_TWICE = "given-twice":
        "A key or a value is given twice in one place.",
        "Which of them counts would depend on their order.",
        "[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.150]" =>
        "[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.3]";
    MISSING_KEY = "missing-key":
        "A key that is needed is not given.",
        "There is no default that would suit.",
        "finetune.task = \"classify\"" => "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"";
    EXPERIMENT_NAME = "experiment-name":
        "An experiment's name that is no short line of text.",
        "It is the name of a folder, stands in tables and is printed on terminals, which obey control characters.",
        "--set experiment.name=\"a\\u0007b\"" => "--set experiment.name=\"a b\"";
    EXCLUSIVE_KEYS = "exclusive-keys":
        "Two keys say the same thing in two ways.",
        "They could contradict each other.",
        "train.steps = 100\ntrain.epochs = 1.0" => "train.epochs = 1.0";
    NEVER_USED = "never-used":
        "A value that no run would have, because something else gives its key another one in every cell.",
        "Whoever reads the file would believe it.",
        "objective.nsp = \"swap\"\n[sweep.grid]\n\"objective.nsp\" = [\"off\", \"random\"]" =>
        "[sweep.grid]\n\"objective.nsp\" = [\"off\", \"random\"]";
    BAD_ARGUMENT = "bad-argument":
        "An argument of the command line that changes nothing that it could change.",
        "An argument that is passed over would be believed to count.",
        "--set train.steps" => "--set train.steps=100";
    UNREADABLE_BASE = "unreadable-base":
        "The file that this one builds on is not there.",
        "What it says is a part of the experiment.",
        "base = \"gone.toml\"" => "train.steps = 100";
    BASE_CIRCLE = "base-circle":
        "Files build on each other in a circle.",
        "There is no first one to begin with.",
        "base = \"x.toml\"" => "train.steps = 100";

    // The sweep.
    UNEVEN_ZIP = "uneven-zip":
        "The lists of a zip are not of one length.",
        "The first values go together, then the second, and so on: some would have no partner.",
        "[[sweep.zip]]\n\"optimizer.lr\" = [1e-3, 1e-4]\n\"train.batch_size\" = [32, 64, 128]" =>
        "[[sweep.zip]]\n\"optimizer.lr\" = [1e-3, 1e-4]\n\"train.batch_size\" = [32, 64]";
    INCOMPLETE_TABLE = "incomplete-table":
        "A part of the sweep lacks what it needs.",
        "It would change nothing, or everything.",
        "[sweep.grid]\n\"objective.nsp\" = [\"off\", \"swap\"]\n[[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }" =>
        "[sweep.grid]\n\"objective.nsp\" = [\"off\", \"swap\"]\n[[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }\n\
         grid = { \"objective.nsp_weight\" = [0.5, 1.0] }";
    SELF_CONDITION = "self-condition":
        "A condition asks for the key that it gives values to.",
        "Where it holds the key has a value already.",
        "[sweep.grid]\n\"objective.nsp\" = [\"off\", \"swap\"]\n[[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }\n\
         grid = { \"objective.nsp\" = [\"random\"] }" =>
        "[sweep.grid]\n\"objective.nsp\" = [\"off\", \"swap\"]\n[[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }\n\
         grid = { \"objective.nsp_weight\" = [0.5, 1.0] }";
    WITHOUT_REASON = "exclude-without-reason":
        "Cells are excluded, and nothing says why.",
        "The plan and the report show the reason: a hole in a sweep invites wrong conclusions.",
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]\n\"train.batch_size\" = [8, 64]\n[[sweep.exclude]]\n\
         match = { \"optimizer.lr\" = 1e-3, \"train.batch_size\" = 8 }" =>
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]\n\"train.batch_size\" = [8, 64]\n[[sweep.exclude]]\n\
         match = { \"optimizer.lr\" = 1e-3, \"train.batch_size\" = 8 }\nbecause = \"it diverges\"";
    NOT_SWEEPABLE = "not-sweepable":
        "A key that describes the experiment as a whole, or repeats its cells, is varied.",
        "A cell has no value of its own for it.",
        "[sweep.grid]\n\"train.seed\" = [0, 1]" => "[sweep.replicates]\nseeds = 2";
    EMPTY_AXIS = "empty-axis":
        "An axis has no values.",
        "The product with it would have no cells.",
        "[sweep.grid]\n\"objective.mask_ratio\" = []" => "[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.3]";
    SINGLE_VALUE = "single-value":
        "An axis has one value. A warning.",
        "It compares nothing.",
        "[sweep.grid]\n\"objective.mask_ratio\" = [0.3]" => "objective.mask_ratio = 0.3";
    VARIED_TWICE = "varied-twice":
        "Two parts of the sweep vary one key.",
        "Neither would know of the other.",
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]\n[[sweep.zip]]\n\"optimizer.lr\" = [2e-3, 2e-4]\n\
         \"train.batch_size\" = [8, 64]" =>
        "[[sweep.zip]]\n\"optimizer.lr\" = [2e-3, 2e-4]\n\"train.batch_size\" = [8, 64]";
    UNKNOWN_AXIS = "unknown-axis":
        "Something names an axis that the sweep does not have.",
        "There is nothing to colour or to compare by.",
        "report.x = \"optimizer.lr\"" =>
        "report.x = \"optimizer.lr\"\n[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]";
    BAD_RANGE = "bad-range":
        "A range of values that is none.",
        "Where it would begin and end is a guess.",
        "[sweep.random]\nn = 4\n\"optimizer.lr\" = { log_uniform = [1e-2, 1e-4] }" =>
        "[sweep.random]\nn = 4\n\"optimizer.lr\" = { log_uniform = [1e-4, 1e-2] }";
    BAD_FORMULA = "bad-formula":
        "A key is computed by what is no formula, or by one that has no value in some cell.",
        "The cell would not know its own setting.",
        "[sweep.derive]\n\"model.intermediate_size\" = \"4 x model.hidden_size\"" =>
        "[sweep.derive]\n\"model.intermediate_size\" = \"4 * model.hidden_size\"";
    COMPUTED_KEY = "computed-key":
        "A key that is computed is given a value as well, or a condition asks for it.",
        "A formula has the last word, after all conditions.",
        "model.intermediate_size = 64\n[sweep.derive]\n\"model.intermediate_size\" = \"4 * model.hidden_size\"" =>
        "[sweep.derive]\n\"model.intermediate_size\" = \"4 * model.hidden_size\"";
    COMPUTED_CIRCLE = "computed-circle":
        "Computed keys need each other.",
        "None of them can be computed first.",
        "[sweep.derive]\n\"model.hidden_size\" = \"model.intermediate_size / 4\"\n\
         \"model.intermediate_size\" = \"4 * model.hidden_size\"" =>
        "[sweep.derive]\n\"model.intermediate_size\" = \"4 * model.hidden_size\"";
    SWEEP_TOO_LARGE = "sweep-too-large":
        "The sweep has more cells than a sweep may have, or draws more keys than can be spread evenly.",
        "Nobody runs so many, and a slip of the pen is likelier.",
        "[sweep.grid]\n\"optimizer.lr\" = { logspace = [1e-5, 1e-2], n = 500 }\n\
         \"objective.mask_ratio\" = { linspace = [0.1, 0.5], n = 500 }" =>
        "[sweep.grid]\n\"optimizer.lr\" = { logspace = [1e-5, 1e-2], n = 4 }\n\
         \"objective.mask_ratio\" = { linspace = [0.1, 0.5], n = 5 }";
    NEVER_HOLDS = "never-holds":
        "A condition holds in no cell, so its axes never exist.",
        "A part of the sweep would be missing unseen.",
        "[[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }\ngrid = { \"objective.nsp_weight\" = [0.5, 1.0] }" =>
        "objective.nsp = \"swap\"\n[sweep.grid]\n\"objective.nsp_weight\" = [0.5, 1.0]";
    EXCLUDES_NOTHING = "excludes-nothing":
        "An exclusion matches no cell.",
        "Whoever wrote it believes that cells are gone.",
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]\n[[sweep.exclude]]\nmatch = { \"optimizer.lr\" = 1e-2 }\n\
         because = \"it diverges\"" =>
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4, 1e-2]\n[[sweep.exclude]]\nmatch = { \"optimizer.lr\" = 1e-2 }\n\
         because = \"it diverges\"";
    INCLUDES_NOTHING = "includes-nothing":
        "A row adds a cell that the sweep has already. A warning.",
        "It changes nothing.",
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]\n[[sweep.include]]\n\"optimizer.lr\" = 1e-3" =>
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]\n[[sweep.include]]\n\"optimizer.lr\" = 1e-2";
    TWO_CONDITIONS = "two-conditions":
        "Two conditions that hold in one cell give values to one key.",
        "The cell can have but one of them.",
        "[sweep.grid]\n\"objective.nsp\" = [\"random\", \"swap\"]\n\"schedule.kind\" = [\"linear\", \"cosine\"]\n\
         [[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }\ngrid = { \"objective.nsp_weight\" = [0.5, 1.0] }\n\
         [[sweep.when]]\nif = { \"schedule.kind\" = \"linear\" }\ngrid = { \"objective.nsp_weight\" = [2.0, 3.0] }" =>
        "[sweep.grid]\n\"objective.nsp\" = [\"random\", \"swap\"]\n\
         [[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }\ngrid = { \"objective.nsp_weight\" = [0.5, 1.0] }";
    CONDITIONS_WAIT = "conditions-wait":
        "Conditions wait for each other: each asks for an axis that another one gives.",
        "None of them can be looked at first.",
        "[[sweep.when]]\nif = { \"schedule.kind\" = \"wsd\" }\ngrid = { \"objective.nsp\" = [\"off\", \"swap\"] }\n\
         [[sweep.when]]\nif = { \"objective.nsp\" = \"swap\" }\ngrid = { \"schedule.kind\" = [\"linear\", \"wsd\"] }" =>
        "[sweep.grid]\n\"schedule.kind\" = [\"linear\", \"wsd\"]\n[[sweep.when]]\nif = { \"schedule.kind\" = \"wsd\" }\n\
         grid = { \"objective.nsp\" = [\"off\", \"swap\"] }";
    NO_CELLS = "no-cells":
        "Every cell is excluded.",
        "There is nothing to run.",
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]\n[[sweep.exclude]]\nmatch = { \"optimizer.lr\" = [1e-3, 1e-4] }\n\
         because = \"it diverges\"" =>
        "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4, 1e-5]\n[[sweep.exclude]]\n\
         match = { \"optimizer.lr\" = 1e-3 }\nbecause = \"it diverges\"";
    UNPAIRED_SEEDS = "unpaired-seeds":
        "Cells are to have seeds of their own, and there is no number of them.",
        "A list, and the one seed of cells that are not repeated, are the same in every cell; a number lets each \
         combination of settings that re-draw luck have seeds of its own.",
        "[sweep.replicates]\nseeds = [0, 1, 2]\npaired = false" => "[sweep.replicates]\nseeds = 3";
    DEAD_AXIS = "dead-axis":
        "A key is varied where no run reads it.",
        "Its cells would be one run under several names.",
        "[sweep.grid]\n\"objective.nsp_weight\" = [0.5, 1.0]" =>
        "objective.nsp = \"swap\"\n[sweep.grid]\n\"objective.nsp_weight\" = [0.5, 1.0]";
    HALVING_NOT_POSSIBLE = "halving-not-possible":
        "Early stopping does not go with these runs.",
        "It counts in steps of pretraining, and they are in epochs or fine-tune.",
        "train.epochs = 1.0\n[sweep.halving]\nmin_steps = 100" => "train.steps = 1000\n[sweep.halving]\nmin_steps = 100";
    BAD_RUNG = "bad-rung":
        "The first rung of early stopping is where nothing is measured, or after the end of every run.",
        "Cells are compared by an evaluation.",
        "[sweep.halving]\nmin_steps = 150" => "[sweep.halving]\nmin_steps = 200";
    BAD_BASELINE = "bad-baseline":
        "The baseline describes no cell, or several.",
        "All others are compared with one.",
        "[experiment.baseline]\n\"objective.nsp\" = \"swap\"\n[sweep.grid]\n\"objective.nsp\" = [\"off\", \"random\"]" =>
        "[experiment.baseline]\n\"objective.nsp\" = \"off\"\n[sweep.grid]\n\"objective.nsp\" = [\"off\", \"random\"]";
    METRIC_NOT_RECORDED = "metric-not-recorded":
        "The metric that decides is recorded by no run, or by some only.",
        "Runs without it would silently be left out of the comparison.",
        "experiment.metric = \"valid/nsp_loss\"" => "experiment.metric = \"valid/nsp_loss\"\nobjective.nsp = \"swap\"";

    // A cell.
    HEADS_DIVIDE_WIDTH = "heads-divide-width":
        "The width of the model cannot be shared out among its attention heads.",
        "Every head has the same width, unless `model.attention_head_size` says another one.",
        "model.hidden_size = 100\nmodel.num_attention_heads = 3" =>
        "model.hidden_size = 99\nmodel.num_attention_heads = 3";
    ODD_HEADS = "odd-heads":
        "Rotary positions turn pairs of numbers, and an attention head has an odd width.",
        "The first half of a head is turned together with its second half.",
        "model.position_embedding_type = \"rotary\"\nmodel.attention_head_size = 5" =>
        "model.position_embedding_type = \"rotary\"\nmodel.attention_head_size = 6";
    NO_NORM_TO_LEAVE_OUT = "no-norm-to-leave-out":
        "The norm before the first attention is to be left out, and the model normalises after its sublayers.",
        "A residual sum that is not normalised would not be BERT's layer, and it is none of ModernBERT's.",
        "model.first_attention_norm = false" =>
        "model.first_attention_norm = false\nmodel.norm_position = \"pre\"";
    SEQUENCE_TOO_LONG = "sequence-too-long":
        "Sequences are longer than the model has positions for.",
        "The tokens beyond have no embedding of their place.",
        "train.seq_len = 1024" => "train.seq_len = 1024\nmodel.max_position_embeddings = 1024";
    LENGTHS_DO_NOT_RISE = "lengths-do-not-rise":
        "The lengths that a run begins with do not rise to that of its sequences.",
        "Shorter sequences come first, and `train.seq_len` is the length that follows the last of them.",
        "train.seq_len_warmup = [[32, 0.4], [16, 0.2]]" => "train.seq_len_warmup = [[16, 0.4], [32, 0.2]]";
    LENGTH_DOES_NOT_DIVIDE = "length-does-not-divide":
        "The tokens of a batch do not make whole sequences of a length that the run begins with.",
        "A batch has as many tokens at every length, so that what is compared is compared at equal cost.",
        "train.seq_len_warmup = [[48, 0.4]]" => "train.seq_len_warmup = [[64, 0.4]]";
    NO_STEP_IS_LEFT = "no-step-is-left":
        "The lengths that a run begins with take all of its steps.",
        "The rest is made at `train.seq_len`, the length that the model is judged at.",
        "train.seq_len_warmup = [[16, 0.5], [32, 0.5]]" => "train.seq_len_warmup = [[16, 0.5], [32, 0.4]]";
    SHARES_ABOVE_ONE = "shares-above-one":
        "The shares of selected tokens that are masked and replaced add up to more than all of them.",
        "The rest, which is kept, would be less than nothing.",
        "objective.mask_token_prob = 0.8\nobjective.random_token_prob = 0.3" =>
        "objective.mask_token_prob = 0.8\nobjective.random_token_prob = 0.1";
    WARMUP_TOO_LONG = "warmup-too-long":
        "The warmup is longer than the run.",
        "The learning rate that the file names would never be reached.",
        "train.steps = 100\nschedule.warmup_steps = 200" => "train.steps = 100\nschedule.warmup_steps = 10";
    DECAY_OVERLAPS_WARMUP = "decay-overlaps-warmup":
        "Warmup and decay together are longer than the run.",
        "The rate would rise and fall at once.",
        "schedule.kind = \"wsd\"\nschedule.warmup_ratio = 0.6\nschedule.decay_ratio = 0.6" =>
        "schedule.kind = \"wsd\"\nschedule.warmup_ratio = 0.1\nschedule.decay_ratio = 0.1";
    WORDS_DRAWN_TWICE = "words-drawn-twice":
        "Whole words are to be selected with replacement.",
        "The system that draws with replacement draws single tokens.",
        "objective.whole_word = true\nobjective.mask_replacement = true" => "objective.whole_word = true";
    BAD_SEPARATOR = "bad-separator":
        "What cuts words into morphemes could be part of a word.",
        "Ordinary text would be cut at it too.",
        "tokenizer.separator = \"a\"" => "tokenizer.separator = \"/\"";
    MORPHEMES_TWICE = "morphemes-twice":
        "Morphemes are to come from the text and from a dictionary.",
        "Text that was analysed beforehand has a separator; a dictionary is for text that was not.",
        "tokenizer.separator = \"/\"\ntokenizer.dictionary = \"mecab\"" => "tokenizer.separator = \"/\"";
    DEMO_FORMAT = "demo-format":
        "The built-in corpus is given a format.",
        "It has its own.",
        "data.format = \"jsonl\"" => "data.format = \"auto\"";
    HEAD_DOES_NOT_FIT = "head-does-not-fit":
        "The head or the encoder does not go with the task.",
        "A head of tags has no class, and the embedding of [CLS] alone is the same for every text.",
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.head = \"crf\"" =>
        "finetune.task = \"ner\"\nfinetune.data = \"klue-ner.tsv\"\nfinetune.head = \"crf\"";
    PAIRS_OF_TAGGED_TEXT = "pairs-of-tagged-text":
        "Texts that are tagged are to have a second text.",
        "The format of named entities has no columns.",
        "finetune.task = \"ner\"\nfinetune.data = \"klue-ner.tsv\"\nfinetune.pair_column = \"b\"" =>
        "finetune.task = \"classify\"\nfinetune.data = \"nli.tsv\"\nfinetune.pair_column = \"b\"";
    BAD_FOLD = "bad-fold":
        "What is called a part of the examples is none.",
        "Cross-validation holds out each of some equal parts in turn.",
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.fold = \"6/5\"" =>
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.fold = \"5/5\"";
    HELD_OUT_TWICE = "held-out-twice":
        "Examples are to be held out by a share and by a fold.",
        "Only one of them can say which examples judge.",
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.fold = \"1/5\"\nfinetune.valid_fraction = 0.2" =>
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.fold = \"1/5\"";
    SMOOTHED_PATHS = "smoothed-paths":
        "The loss of a CRF is to be smoothed over labels.",
        "A CRF scores the tags of a text together; there is no class to smooth over.",
        "finetune.task = \"ner\"\nfinetune.data = \"klue-ner.tsv\"\nfinetune.head = \"crf\"\nfinetune.label_smoothing_factor = 0.1" =>
        "finetune.task = \"ner\"\nfinetune.data = \"klue-ner.tsv\"\nfinetune.label_smoothing_factor = 0.1";
    NO_MERGES = "no-merges":
        "Merges are to be left out by chance, and the tokenizer has none.",
        "Only byte-pair encoding splits by merges. WordPiece takes the longest piece and unigram the likeliest split; what chance \
         could do to these is something else.",
        "tokenizer.kind = \"unigram\"\nfinetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.bpe_dropout = 0.1" =>
        "tokenizer.kind = \"bpe\"\nfinetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.bpe_dropout = 0.1";
    SET_BY_STORED_RUN = "set-by-stored-run":
        "Training starts from a stored run, and the file says what that run has said.",
        "The stored run was trained as it was trained.",
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.run = \"k3f0\"\nfinetune.start = \"random\"" =>
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.start = \"random\"";
    BUDGET_TOO_SMALL = "budget-too-small":
        "The budget of a run does not pay for one step.",
        "A run makes at least one.",
        "train.budget = { tokens = 10 }" => "train.budget = { tokens = 1e7 }";

    // What the plan looks up.
    UNREADABLE_CORPUS = "unreadable-corpus":
        "The corpus is not there, cannot be read, or has fewer than two documents.",
        "A part of its documents is held out, so it takes two. Paths are looked up beside the experiment file, then under \
         --data.",
        "data.corpus = \"gone.txt\"" => "data.corpus = \"demo\"";
    UNREADABLE_EXAMPLES = "unreadable-examples":
        "The labelled examples are not there, or are not in the format of their task.",
        "Labels and their number shape the model.",
        "finetune.task = \"classify\"\nfinetune.data = \"gone.tsv\"" =>
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"";
    UNREADABLE_DICTIONARY = "unreadable-dictionary":
        "The dictionary of the tokenizer is not there, or is none.",
        "Its content shapes every token.",
        "tokenizer.dictionary = \"gone\"" => "tokenizer.dictionary = \"mecab-ko-dic\"";
    UNREADABLE_RUN = "unreadable-run":
        "The run to start from is not in the store, or has no weights to start from.",
        "Fine-tuning would start from nothing.",
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.run = \"gone\"" =>
        "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\nfinetune.run = \"k3f0\"";
}
