"""A small correct sales history as files, and ways to make it wrong."""

from pathlib import Path

HEADS = {
    "accounts.csv": "account,sector,year_established,revenue,employees,office_location,subsidiary_of",
    "products.csv": "product,series,sales_price",
    "sales_teams.csv": "sales_agent,manager,regional_office",
    "sales_pipeline.csv": "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value",
}
ROWS = {
    "accounts.csv": ["Acme,retail,1990,10.5,20,Norway,", "Zoom Co,software,2001,2,300,United States,Acme"],
    "products.csv": ["GTX Pro,GTX,4821"],
    "sales_teams.csv": ["Ann Lee,Bo Berg,East", "Cy Dahl,Bo Berg,East"],
    "sales_pipeline.csv": ["D1,Ann Lee,GTX Pro,Acme,Won,2017-01-31,2017-03-01,1054", "D2,Cy Dahl,GTX Pro,,Engaging,2017-02-01,,"],
}


def folder(tmp_path: Path, **rows: list[str]) -> Path:
    """A small correct data set, with the rows of some files replaced: accounts=[...], sales_pipeline=[...]."""
    for file, head in HEADS.items():
        lines = [head, *rows.get(file.removesuffix(".csv"), ROWS[file])]
        (tmp_path / file).write_text("\n".join(lines) + "\n")
    return tmp_path


def deal(**values: str) -> str:
    columns = HEADS["sales_pipeline.csv"].split(",")
    right = dict(zip(columns, ROWS["sales_pipeline.csv"][0].split(","), strict=True)) | {"opportunity_id": "D9"}
    return ",".join((right | values)[column] for column in columns)
